"""`deepseq extract`: videos, or cached faces of them, to features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    FAILED_VIDEOS,
    PATH,
    cnn_options,
    echo_message,
    face_options,
    json_option,
    labels_line,
    limits,
    memory_option,
    print_json,
    runtime_option,
    sampling_options,
    timeout_option,
    workers_option,
)
from deepfake_seq.commands.sources import sources
from deepfake_seq.commands.videos import video_options
from deepfake_seq.commands.views import view_options

if TYPE_CHECKING:
    from deepfake_seq.extract.profiling import Profile
    from deepfake_seq.extract.resume import Outcome

_FACES, _EXECUTION = config.FaceConfig(), config.ExecutionConfig()


@click.command()
@video_options
@click.option(
    "--from-faces",
    type=PATH,
    metavar="STORE",
    help="In place of PATH...: cached faces, or a feature store that has some. The features are "
    "those of the videos.",
)
@click.option("--out", type=PATH, default="features", show_default=True, help="The store.")
@face_options
@click.option("--keep-faces", is_flag=True, help="Keep the crops, too, in OUT/faces.")
@click.option(
    "--face-format",
    type=click.Choice(config.FACE_FORMATS),
    default=_FACES.image_format,
    show_default=True,
    help="Of kept crops: webp and png lose nothing; jpeg does, and the CNN is shown that.",
)
@cnn_options
@sampling_options
@view_options
@runtime_option
@workers_option
@timeout_option
@memory_option
@click.option(
    "--engine",
    type=click.Choice(config.ENGINES),
    default=_EXECUTION.engine,
    show_default=True,
    help="This machine, or all machines of a Ray cluster.",
)
@click.option(
    "--address",
    default=_EXECUTION.address,
    metavar="HOST:PORT",
    help="The Ray cluster.  [default: one that runs here, or else one that is started here]",
)
@click.option("--retry-failed", is_flag=True, help="Take up videos that failed before.")
@click.option("--profile", is_flag=True, help="Print at the end where the time went.")
@json_option
def extract(out: Path, **options: Any) -> None:
    """Extract features from videos, or from all videos in folders, into a store.

    What is in the store already is skipped, so an interrupted run goes on where it stopped.
    Celeb-DF, FaceForensics++ and DFDC are known by their folders and lists; other videos are
    labelled by folders called real and fake, or by --labels.
    """
    from deepfake_seq import console
    from deepfake_seq.extract import pipeline
    from deepfake_seq.extract.writers import StoreWriters

    execution = config.ExecutionConfig(
        options["runtime"],
        options["workers"],
        limits(options["timeout"], options["memory"]),
        options["engine"],
        options["address"],
    )
    items, resolved, told = sources(out, options)
    if resolved.config.backbone.weights == config.UNTRAINED:
        echo_message(
            "WARNING: the CNN is untrained. Its features are noise; use them for trials only."
        )
    click.echo(told, err=options["as_json"])
    with (
        StoreWriters.create(out, resolved) as cache,
        console.progress("extract", len(items), "videos") as step,
    ):
        summary = pipeline.extract(
            items,
            resolved,
            cache,
            execution,
            retry_failed=options["retry_failed"],
            on_video=lambda outcome, profile: step(_note(outcome, profile)),
        )
        totals = labels_line([entry.metadata for entry in cache.features.entries()])
    for failure in summary.failures:
        again = " (the next run tries again)" if failure.transient else ""
        echo_message(f"{failure.video_id}: {failure.status}: {failure.reason}{again}")
    if summary.failed_before:
        echo_message(
            f"{summary.failed_before} videos failed in an earlier run: --retry-failed takes them up"
        )
    if options["profile"] and summary.profile:
        click.echo(_profile_table(summary.profile), err=True)
    if options["as_json"]:
        document = {
            "store": str(out),
            "fingerprint_id": resolved.fingerprint.id,
            "videos": summary.videos,
            "ok": summary.ok,
            "failed": summary.failed,
            "skipped": summary.skipped,
            "by_status": dict(summary.by_status),
            "seconds": round(summary.seconds, 3),
        }
        if cache.faces is not None:
            document["faces"] = str(cache.faces.path)
        if options["profile"] and summary.profile:
            document["profile"] = summary.profile.to_dict()
        print_json(document)
    else:
        click.echo(
            f"{summary.videos} videos: {summary.ok} extracted, {summary.failed} failed, "
            f"{summary.skipped} were there already"
            + (f", {summary.relabelled} of them relabelled" if summary.relabelled else "")
            + f"; {summary.seconds:.1f} s"
        )
        click.echo(f"{out}: {totals}")
        if cache.faces is not None:
            click.echo(f"{cache.faces.path}: the faces of {len(cache.faces)} of them")
    if summary.failed:
        sys.exit(FAILED_VIDEOS)


def _note(outcome: Outcome, profile: Profile | None) -> str:
    """What the progress bar says behind a video."""
    status = "skipped" if outcome.skipped else outcome.status
    return f"{status}; bottleneck: {profile.bottleneck}" if profile else status


def _profile_table(profile: Profile) -> str:
    """Stages with their times, waits and rates, and what to make faster first."""
    from deepfake_seq import console

    header = ["stage", "side by side", "busy", "idle", "done", "each", "per second"]
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
