"""`deepseq compare`: several runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import PATH, echo_message, json_option, print_json


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN RUN...")
@json_option
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Set runs side by side, and say whether their AUCs differ by more than chance.

    Each run is held against the first on the test clips that both have, by DeLong's test.
    """
    from deepfake_seq import console
    from deepfake_seq.errors import UsageError
    from deepfake_seq.sequence.runs import comparison

    if len(runs) < 2:
        raise UsageError(f"two runs or more can be compared. Received: {len(runs)}")
    compared = [comparison.ComparedRun.read(folder) for folder in runs]
    paired = [comparison.pair(compared[0].test, other.test) for other in compared[1:]]
    notes = comparison.caveats(compared)
    if as_json:
        print_json({"runs": comparison.report(compared, paired), "notes": notes})
        return
    for note in notes:
        echo_message(f"NOTE: {note}")
    click.echo(console.table(comparison.rows(compared, paired)))
