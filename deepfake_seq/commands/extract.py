"""`deepseq extract`: features from videos, or from cached faces."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import (
    PATH,
    command,
    execution_options,
    execution_settings,
    face_options,
    json_option,
    option,
    options_of,
    sampling_options,
)
from deepfake_seq.commands.output import (
    FAILED_VIDEOS,
    echo_line,
    echo_message,
    labels_line,
    print_json,
)
from deepfake_seq.commands.sources import load_sources
from deepfake_seq.commands.videos import video_options, warn_of_unlabelled
from deepfake_seq.commands.views import view_options
from deepfake_seq.config import (
    MIN_VALID_FRAMES,
    UNTRAINED,
    BackboneConfig,
    EvidenceConfig,
    ExecutionConfig,
    FaceConfig,
)

if TYPE_CHECKING:
    from deepfake_seq.datasets import VideoItem
    from deepfake_seq.extract.pipeline import Summary
    from deepfake_seq.extract.profiling import Profile
    from deepfake_seq.extract.resolve import ResolvedConfig
    from deepfake_seq.extract.resume import Outcome


@command()
@video_options
@option(
    "--from-faces",
    type=PATH,
    metavar="STORE",
    heading="Video",
    help="Extract from the cached faces in this face store or feature store, in place of videos. "
    "The features are the same.",
)
@option(
    "--out",
    type=PATH,
    default="features",
    show_default=True,
    help="Feature store to create or to extend.",
)
@face_options
@options_of(FaceConfig, "precision", heading="Face")
@option("--keep-faces", is_flag=True, heading="Face", help="Keep the face crops in OUT/faces.")
@options_of(FaceConfig, "image_format", heading="Face")
@options_of(BackboneConfig, "name", "weights", "precision", heading="CNN")
@options_of(EvidenceConfig, "blocks", heading="CNN")
@sampling_options
@view_options
@execution_options
@options_of(ExecutionConfig, "engine", "address", heading="Execution")
@option("--retry-failed", is_flag=True, help="Extract again the videos that failed before.")
@option(
    "--prune",
    is_flag=True,
    help="Remove the records of videos whose files are gone; those of moved videos are moved.",
)
@option(
    "--dry-run",
    is_flag=True,
    help="Print what would be extracted, moved and removed, and change nothing.",
)
@option("--profile", is_flag=True, help="Print the time spent in each stage at the end.")
@json_option
def extract(out: Path, **options: Any) -> None:
    """Extract features from videos into a feature store.

    PATH is a video or a folder of videos. Videos already in the store are skipped, so the same
    command resumes an interrupted extraction. The records of videos that were moved or renamed
    are moved, and no video replaces another one of the same name from another folder. Celeb-DF,
    FaceForensics++, DFDC and FakeAVCeleb are recognised by their folders and lists; other videos
    are labelled by folders with names such as real, fakes or original_videos, or by --labels.
    Videos without a label are extracted too.
    """
    from deepfake_seq import console
    from deepfake_seq.extract import pipeline
    from deepfake_seq.extract.estimate import MIN_VIDEOS, Estimate, mixed
    from deepfake_seq.extract.writers import StoreWriters

    execution = execution_settings(options)
    items, resolved, report = load_sources(out, options)
    if not options["from_faces"]:
        warn_of_unlabelled(items)
    if resolved.config.backbone.weights == UNTRAINED:
        echo_message("WARNING: the CNN is untrained. Its features are noise, for trials only.")
    frames = resolved.config.sampling.frames
    if frames < MIN_VALID_FRAMES:
        echo_message(
            "WARNING: `fit` and `predict` will not use these features: they need a face in at "
            f"least {MIN_VALID_FRAMES} frames of a clip. Received: --frames {frames}"
        )
    if len(items) >= MIN_VIDEOS:
        items = mixed(items)
    click.echo(report, err=options["as_json"])
    if options["dry_run"]:
        _dry_run(out, items, resolved, options)
        return
    with (
        StoreWriters.create(out, resolved) as cache,
        console.progress("extract", len(items), "videos") as step,
    ):
        estimate = Estimate(len(items), out, execution)

        def on_video(outcome: Outcome, profile: Profile | None) -> None:
            step(_note(outcome, profile))
            sentence = estimate.add(outcome, profile)
            if sentence:
                echo_message(sentence)

        summary = pipeline.extract(
            items,
            resolved,
            cache,
            execution,
            retry_failed=options["retry_failed"],
            prune=options["prune"],
            on_video=on_video,
        )
        cache.features.refresh()
        totals = labels_line([entry.metadata for entry in cache.features.entries()])
    _echo_failures(summary, resolved.config.sampling.strategy)
    _echo_unknown(summary.unknown)
    profile = summary.profile if options["profile"] else None
    if profile:
        click.echo(_profile_table(profile), err=True)
    faces = cache.faces
    if options["as_json"]:
        document: dict[str, Any] = {"store": str(out), "fingerprint_id": resolved.fingerprint.id}
        document |= _document(summary)
        document |= {"faces": str(faces.path)} if faces is not None else {}
        document |= {"profile": profile.to_dict()} if profile else {}
        print_json(document)
    else:
        click.echo(_summary_line(summary))
        click.echo(f"{out}: {totals}")
        if faces is not None:
            click.echo(f"{faces.path}: faces of {len(faces)} videos")
    if not options["from_faces"]:
        warn_of_unlabelled(items)
    if summary.failed:
        sys.exit(FAILED_VIDEOS)


def _dry_run(
    out: Path, items: Sequence[VideoItem], resolved: ResolvedConfig, options: dict[str, Any]
) -> None:
    """Print what an extraction would do."""
    from deepfake_seq.extract import pipeline
    from deepfake_seq.extract.resume import ResumableWriter
    from deepfake_seq.extract.writers import StoreWriters

    with StoreWriters.create(out, resolved) as writers:
        writer = ResumableWriter(writers, resolved, options["retry_failed"])
        matched = pipeline.match(items, writer, find_gone=options["prune"])
        moved = set(matched.moves.values())
        new = [
            item.video_id
            for item in matched.items
            if item.video_id not in moved and writer.must_extract(item)
        ]
    if options["as_json"]:
        print_json(
            {
                "store": str(out),
                "dry_run": True,
                "videos": len(items),
                "extract": new,
                "moved": matched.moves,
                "pruned": list(matched.gone),
            }
        )
        return
    for old, name in matched.moves.items():
        echo_line(f"would move     {old} to {name}")
    for name in matched.gone:
        echo_line(f"would remove   {name}")
    for name in new:
        echo_line(f"would extract  {name}")
    echo_line(
        f"{len(items)} videos: {len(new)} to extract, {len(moved)} to move, {len(matched.gone)} to "
        "remove; nothing was changed"
    )
    _echo_unknown(matched.unknown)


def _echo_unknown(unknown: int) -> None:
    if unknown:
        echo_message(
            f"{unknown} videos were not looked for, because the store does not know where they "
            "were. Extract their folder once, or remove them with `deepseq remove`."
        )


def _document(summary: Summary) -> dict[str, Any]:
    """Return the counts of the JSON document."""
    return {
        "videos": summary.videos,
        "ok": summary.ok,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "by_status": dict(summary.by_status),
        "moved": summary.moved,
        "pruned": list(summary.pruned),
        "seconds": round(summary.seconds, 3),
    }


def _summary_line(summary: Summary) -> str:
    changes = {"moved": len(summary.moved), "relabelled": summary.relabelled}
    changed = ", ".join(f"{count} {name}" for name, count in changes.items() if count)
    removed = f", {len(summary.pruned)} removed" if summary.pruned else ""
    return (
        f"{summary.videos} videos: {summary.ok} extracted, {summary.failed} failed, "
        f"{summary.skipped} already in the store{f' ({changed})' if changed else ''}{removed}; "
        f"{summary.seconds:.1f} s"
    )


def _echo_failures(summary: Summary, strategy: str) -> None:
    """Print one line on stderr for each video that failed, with what to do."""
    for failure in summary.failures:
        note = " (the next extraction tries again)" if failure.transient else ""
        if failure.status == "timeout" and strategy != "keyframes":
            note = f", or --sampling keyframes{note}"
        echo_message(f"{failure.video_id}: {failure.status}: {failure.reason}{note}")
    if summary.failed_before:
        echo_message(
            f"{summary.failed_before} videos failed in an earlier extraction; "
            "--retry-failed extracts them again"
        )


def _note(outcome: Outcome, profile: Profile | None) -> str:
    """Return the note of the progress bar after a video."""
    status = "skipped" if outcome.skipped else outcome.status
    return f"{status}; bottleneck: {profile.bottleneck}" if profile else status


def _profile_table(profile: Profile) -> str:
    """Return a table of the stages with times and rates, and name the bottleneck."""
    from deepfake_seq import console

    header = ["stage", "parallel", "busy", "idle", "done", "each", "per second"]
    rows = []
    for name, row in profile.to_dict()["stages"].items():
        each = f"{1000 * row['busy_seconds'] / row['done']:.1f} ms" if row["done"] else ""
        rows.append(
            [
                name,
                str(row["lanes"]),
                f"{row['busy_seconds']:.1f} s",
                "" if row["idle_seconds"] is None else f"{row['idle_seconds']:.1f} s",
                f"{row['done']:,} {row['unit']}",
                each,
                f"{row['per_second']:.1f}",
            ]
        )
    return "\n".join(
        [
            console.table([header, *rows]),
            f"{profile.seconds:.1f} s without start-up; bottleneck: {profile.bottleneck}, "
            f"busy {profile.pressure(profile.bottleneck):.0%} of the time",
        ]
    )
