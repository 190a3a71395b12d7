"""`deepseq verify` and `deepseq merge`: the care of feature stores."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepfake_seq.commands.options import (
    EXISTING,
    FAILED_VIDEOS,
    PATH,
    json_option,
    print_json,
    say,
)

if TYPE_CHECKING:
    from deepfake_seq.store.verify import StoreReport


@click.command()
@click.argument("store", type=PATH, default="features")
@click.option("--repair", is_flag=True, help="Save what is whole; move the rest to quarantine/.")
@json_option
def verify(store: Path, repair: bool, as_json: bool) -> None:
    """Read every record of a store and say whether all of it is whole.

    Exit code 1 if it is not. With --repair, every good record in a damaged shard is saved, the
    shard is moved to quarantine/ in the store, and the videos to extract again are named (exit
    code 3); the next `deepseq extract` does them.
    """
    from deepfake_seq.store.repair import repair as repair_store
    from deepfake_seq.store.verify import verify as verify_store

    report = repair_store(store) if repair else verify_store(store)
    if as_json:
        bad = [asdict(record) for record in report.bad_records]
        print_json({**vars(report), "bad_records": bad, "whole": report.is_whole})
    else:
        _print(report, repaired=repair)
    if not report.is_whole:
        sys.exit(FAILED_VIDEOS if repair else 1)


@click.command()
@click.argument("stores", nargs=-1, required=True, type=EXISTING, metavar="STORE...")
@click.option("--out", type=PATH, required=True, help="The store to make or to add to.")
@json_option
def merge(stores: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Bring stores that were extracted with the same settings into one.

    A video that two of them hold must be the same in both, or nothing is merged.
    """
    from deepfake_seq.store.merge import merge as merge_stores

    videos, added = merge_stores(stores, out)
    if as_json:
        print_json({"store": str(out), "videos": videos, "added": added})
    else:
        click.echo(f"{out}: {videos} videos, {added} of them new")


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
    if report.is_whole:
        return
    if not repaired:
        say(f"{report.store} is damaged. `deepseq verify --repair {report.store}` saves the rest.")
    else:
        say("`deepseq extract` with the same folders takes up whatever is missing now.")


def _shown(video_id: str) -> str:
    """A name on one line, whatever it holds."""
    return video_id if video_id.isprintable() else repr(video_id)
