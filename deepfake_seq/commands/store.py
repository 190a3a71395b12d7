"""`deepseq verify` and `deepseq merge`: the care of feature stores and of face caches."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import (
    EXISTING,
    FAILED_VIDEOS,
    PATH,
    echo_message,
    json_option,
    print_json,
)

if TYPE_CHECKING:
    from deepfake_seq.store.upkeep.verify import StoreReport


@click.command()
@click.argument("store", type=PATH, default="features")
@click.option("--repair", is_flag=True, help="Save what is whole; move the rest to quarantine/.")
@json_option
def verify(store: Path, repair: bool, as_json: bool) -> None:
    """Read every record of a store, and of the faces kept beside it, and say whether all is whole.

    Exit code 1 if it is not. With --repair, every good record in a damaged shard is saved, the
    shard is moved to quarantine/ in the store, and the videos to extract again are named (exit
    code 3); the next `deepseq extract` does them.
    """
    from deepfake_seq.store import faces_of, has_faces
    from deepfake_seq.store.upkeep.repair import repair as repair_store
    from deepfake_seq.store.upkeep.verify import verify as verify_store

    look = repair_store if repair else verify_store
    reports = [look(store)]
    if has_faces(store):
        reports.append(look(faces_of(store)))
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


@click.command()
@click.argument("stores", nargs=-1, required=True, type=EXISTING, metavar="STORE...")
@click.option("--out", type=PATH, required=True, help="The store to make or to add to.")
@json_option
def merge(stores: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Bring stores that were extracted with the same settings into one.

    A video that two of them hold must be the same in both, or nothing is merged. Their face caches
    are merged, too, if all of them have one.
    """
    from deepfake_seq.store import faces_of
    from deepfake_seq.store.upkeep.merge import merge_with_faces, without_faces

    merged, faces = merge_with_faces(stores, out)
    if faces is None and len(without := without_faces(stores)) < len(stores):
        echo_message(f"faces were not merged: there are none of {', '.join(map(str, without))}")
    if as_json:
        document: dict[str, Any] = {"store": str(out), **merged._asdict()}
        if faces:
            document["faces"] = {"store": str(faces_of(out)), **faces._asdict()}
        print_json(document)
        return
    click.echo(f"{out}: {merged.videos} videos, {merged.added} of them new")
    if faces:
        click.echo(f"{faces_of(out)}: faces of {faces.videos} videos, {faces.added} of them new")


def _document(report: StoreReport) -> dict[str, Any]:
    bad = [asdict(record) for record in report.bad_records]
    return {**vars(report), "bad_records": bad, "whole": report.is_whole}


def _print(report: StoreReport, *, repaired: bool) -> None:
    from deepfake_seq import console

    click.echo(f"store        {report.store}, fingerprint {report.fingerprint_id}")
    click.echo(f"whole        {report.videos} videos: {console.counts(report.by_status)}")
    for reason in report.unreadable_shards.values():
        click.echo(f"unreadable   {reason}")
    for bad in report.bad_records:
        click.echo(f"bad          {_shown(bad.video_id) or 'a video'}: {bad.reason}")
    if report.duplicates:
        click.echo(f"duplicates   {len(report.duplicates)} videos have older records, too")
    for leftover in report.leftovers:
        click.echo(f"leftover     {leftover}" + (", removed" if repaired else ""))
    for shard in report.quarantined:
        click.echo(f"set aside    {shard}")
    for video_id, revision in report.older.items():
        click.echo(f"older        {_shown(video_id)}: its record of revision {revision} stands")
    for video_id in report.extract_again:
        click.echo(f"extract      {_shown(video_id)}")


def _advise(reports: list[StoreReport], *, repaired: bool) -> None:
    """What to do about damage."""
    if repaired:
        echo_message("`deepseq extract` with the same folders takes up whatever is missing now.")
        return
    damaged = [report.store for report in reports if not report.is_whole]
    is_or_are = "is" if len(damaged) == 1 else "are"
    echo_message(
        f"{' and '.join(damaged)} {is_or_are} damaged. "
        f"`deepseq verify --repair {reports[0].store}` saves the rest."
    )


def _shown(video_id: str) -> str:
    """A name on one line, whatever it holds."""
    return video_id if video_id.isprintable() else repr(video_id)
