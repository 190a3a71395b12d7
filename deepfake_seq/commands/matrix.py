"""`deepseq matrix`: runs by the data that they were trained and tested on."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import PATH, command, json_option, option
from deepfake_seq.commands.output import echo_line, echo_notes, print_json


@command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@option(
    "--features",
    "stores",
    type=PATH,
    multiple=True,
    default=("features",),
    show_default=True,
    help="Feature store to test on. Repeat the option for several.",
)
@option("--out", type=PATH, default="matrix", show_default=True, help="Output folder.")
@json_option
def matrix(runs: tuple[Path, ...], stores: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Evaluate runs on several feature stores.

    On the store that a run was trained on, only its test clips are evaluated. A store that shares
    videos or identities with a run is refused. Runs are compared on each store by DeLong's test,
    with Holm's correction.
    """
    from deepfake_seq import console
    from deepfake_seq.sequence.reports.transfer import write
    from deepfake_seq.sequence.runs import transfer

    cells, tests = transfer.evaluate_all(runs, stores)
    report, rows = transfer.report(cells, tests), transfer.rows(cells)
    files = write(out, report, rows)
    echo_notes(
        f"{cell.run} on {cell.store} is refused: {cell.refused}." for cell in cells if cell.refused
    )
    if as_json:
        print_json({**report, "files": files})
        return
    click.echo(console.table(rows))
    for test in tests:
        if test.corrected is not None:
            echo_line(
                f"{test.store}: {test.other} − {test.first} AUC {test.difference:+.3f}, "
                f"p {test.p_value:.3f}, corrected {test.corrected:.3f} ({test.clips} clips)"
            )
    for name, path in files.items():
        echo_line(f"{name}: {path}")
