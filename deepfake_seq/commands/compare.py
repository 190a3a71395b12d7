"""`deepseq compare`: metrics of several runs, and tests of their differences."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import PATH, command, json_option
from deepfake_seq.commands.output import echo_notes, print_json


@command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN RUN...")
@json_option
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Compare runs and test whether their AUCs differ.

    Each run is compared with the first one by DeLong's test, on the test clips that both have.
    """
    from deepfake_seq import console
    from deepfake_seq.errors import UsageError
    from deepfake_seq.sequence.runs import comparison

    if len(runs) < 2:
        raise UsageError(f"compare needs two or more runs. Received: {len(runs)}")
    compared = [comparison.ComparedRun.read(folder) for folder in runs]
    paired = [comparison.pair(compared[0].test, other.test) for other in compared[1:]]
    notes = comparison.caveats(compared)
    if as_json:
        print_json({"runs": comparison.report(compared, paired), "notes": notes})
        return
    echo_notes(notes)
    click.echo(console.table(comparison.rows(compared, paired)))
