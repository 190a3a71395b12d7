"""`deepseq doctor` and `deepseq demo`: check the machine, and run the whole workflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepfake_seq.commands.options import PATH, command, json_option, option
from deepfake_seq.commands.output import print_json, writing


@command()
@json_option
def doctor(as_json: bool) -> None:
    """Check versions, backends, devices and weights on this machine."""
    from dataclasses import asdict

    from deepfake_seq import console
    from deepfake_seq import doctor as doctoring

    findings = doctoring.examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [["", "check", "result"]]
        rows += [["ok" if f.ok else "FAIL", f.name, f.detail] for f in findings]
        click.echo(console.table(rows))
    if not all(finding.ok for finding in findings):
        sys.exit(1)


@command()
@option(
    "--out", type=PATH, default="demo", show_default=True, help="Folder to create for the results."
)
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Run the whole workflow offline on generated clips.

    It takes a minute or two: clips are generated, their features are extracted, two models are
    trained, and two clips are classified.
    """
    from deepfake_seq.demo import show

    def echo(line: str) -> None:
        click.echo(line, err=as_json)

    with writing(out, "--out"):
        summary: dict[str, Any] = show.run_demo(out, echo)
    if as_json:
        print_json(summary)
