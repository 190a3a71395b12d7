"""`deepseq verify`, `merge` and `remove`: maintenance of feature stores, face caches and logs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import EXISTING, PATH, command, json_option, option
from deepfake_seq.commands.output import FAILED_VIDEOS, echo_line, echo_message, print_json
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.store.upkeep.verify import StoreReport


@command()
@click.argument("path", type=PATH, default="features")
@option(
    "--repair",
    is_flag=True,
    help="Save the intact records of damaged shards; move the shards to quarantine/.",
)
@json_option
def verify(path: Path, repair: bool, as_json: bool) -> None:
    """Check a store and repair damage, or check an audit log.

    PATH is a feature store, or a file that was written with --audit. Of an audit log, the first
    line that does not fit to the one before is printed, and the exit code is 1 if there is one.

    Of a store, every record is checked, and its face cache too. The exit code is 1 if a record is
    damaged. With --repair, intact records of damaged shards are saved, the shards are moved to
    quarantine/ in the store, and the videos to extract again are listed (exit code 3); the next
    `deepseq extract` extracts them.
    """
    if path.is_file():
        _verify_log(path, repair, as_json)
        return
    from deepfake_seq.store import faces_of, has_faces
    from deepfake_seq.store.upkeep.repair import repair as repair_store
    from deepfake_seq.store.upkeep.verify import verify as verify_store

    check = repair_store if repair else verify_store
    reports = [check(path)]
    if has_faces(path):
        reports.append(check(faces_of(path)))
    if as_json:
        document, *faces = map(_document, reports)
        print_json({**document, "faces": faces[0]} if faces else document)
    else:
        for report in reports:
            _print(report, repaired=repair)
    whole = all(report.is_whole for report in reports)
    if not (whole or as_json):
        _advise(reports, repaired=repair)
    if not whole:
        sys.exit(FAILED_VIDEOS if repair else 1)


@command()
@click.argument("stores", nargs=-1, required=True, type=EXISTING, metavar="STORE...")
@option("--out", type=PATH, required=True, help="Store to create or to extend.")
@json_option
def merge(stores: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Merge stores that were extracted with the same settings.

    A video that is in two stores must be identical in both, or nothing is merged. The face caches
    are merged too, if every store has one.
    """
    from deepfake_seq.store import faces_of
    from deepfake_seq.store.upkeep.merge import merge_with_faces, without_faces

    merged, faces = merge_with_faces(stores, out)
    if faces is None and len(without := without_faces(stores)) < len(stores):
        echo_message(f"faces were not merged: no face cache in {', '.join(map(str, without))}")
    if as_json:
        document: dict[str, Any] = {"store": str(out), **merged._asdict()}
        if faces:
            document["faces"] = {"store": str(faces_of(out)), **faces._asdict()}
        print_json(document)
        return
    click.echo(f"{out}: {merged.videos} videos, {merged.added} new")
    if faces:
        click.echo(f"{faces_of(out)}: faces of {faces.videos} videos, {faces.added} new")


@command()
@click.argument("store", type=PATH)
@click.argument("video_ids", nargs=-1, metavar="[ID]...")
@option(
    "--folder",
    type=PATH,
    help="Also remove the videos that were in this folder when they were extracted.",
)
@option("--dry-run", is_flag=True, help="Print what would be removed, and change nothing.")
@json_option
def remove(
    store: Path, video_ids: tuple[str, ...], folder: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Remove videos from a store.

    ID is the name of a video in the store, as `deepseq info --videos STORE` lists it. All records
    of the video are removed: those of every person, its views, and its faces in the face cache.
    The files of the videos are not touched; while they are in the folder, the next extraction
    extracts them again.
    """
    from deepfake_seq.store.upkeep.remove import remove as remove_from
    from deepfake_seq.store.upkeep.repair import QUARANTINE

    removal = remove_from(store, video_ids, folder=folder, dry_run=dry_run)
    if as_json:
        print_json({"store": str(store), "dry_run": dry_run, **removal._asdict()})
        return
    for video_id in removal.videos:
        echo_line(f"{'would remove' if dry_run else 'removed'}  {video_id}")
    faces = f", {removal.faces} in the face cache" if removal.faces else ""
    echo_line(
        f"{len(removal.videos)} videos ({removal.records} records{faces}), {removal.remaining} "
        f"{'would remain' if dry_run else 'remain'}" + ("; nothing was changed" if dry_run else "")
    )
    if (store / QUARANTINE).exists() and not dry_run:
        echo_message(
            f"{store / QUARANTINE} contains damaged shards, which may contain records of these "
            "videos. Delete it when you no longer need it."
        )


def _verify_log(path: Path, repair: bool, as_json: bool) -> None:
    """Check an audit log and print the result."""
    from deepfake_seq import audit

    if repair:
        raise UsageError(f"--repair works on stores only. Received: the file {path}")
    report = audit.verify(path)
    if as_json:
        document = {**asdict(report), "path": str(path), "whole": report.is_whole}
        print_json(document)
    else:
        echo_line(f"audit log    {path}")
        echo_line(f"intact       {report.entries} entries")
        if report.last_hash:
            echo_line(f"last hash    {report.last_hash}")
        if not report.is_whole:
            echo_line(f"broken       line {report.broken_line}: {report.reason}")
    if not report.is_whole:
        sys.exit(1)


def _document(report: StoreReport) -> dict[str, Any]:
    """Return the JSON document of a report."""
    bad = [asdict(record) for record in report.bad_records]
    return {**vars(report), "bad_records": bad, "whole": report.is_whole}


def _print(report: StoreReport, *, repaired: bool) -> None:
    from deepfake_seq import console

    click.echo(f"store        {report.store}, fingerprint {report.fingerprint_id}")
    click.echo(f"intact       {report.videos} videos: {console.counts(report.by_status)}")
    for reason in report.unreadable_shards.values():
        click.echo(f"unreadable   {reason}")
    for bad in report.bad_records:
        click.echo(f"bad          {_one_line(bad.video_id) or 'a video'}: {bad.reason}")
    if report.duplicates:
        click.echo(f"duplicates   {len(report.duplicates)} videos also have older records")
    for leftover in report.leftovers:
        click.echo(f"leftover     {leftover}" + (", removed" if repaired else ""))
    for shard in report.quarantined:
        click.echo(f"set aside    {shard}")
    for video_id, revision in report.older.items():
        click.echo(f"older        {_one_line(video_id)}: record of revision {revision} is used")
    for video_id in report.extract_again:
        click.echo(f"extract      {_one_line(video_id)}")


def _advise(reports: list[StoreReport], *, repaired: bool) -> None:
    """Print what to do about damage."""
    if repaired:
        echo_message("`deepseq extract` with the same folders extracts the missing videos.")
        return
    damaged = [report.store for report in reports if not report.is_whole]
    is_or_are = "is" if len(damaged) == 1 else "are"
    echo_message(
        f"{' and '.join(damaged)} {is_or_are} damaged. "
        f"`deepseq verify --repair {reports[0].store}` saves the intact records."
    )


def _one_line(video_id: str) -> str:
    """Return a name without control characters."""
    return video_id if video_id.isprintable() else repr(video_id)
