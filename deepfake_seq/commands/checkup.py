"""`deepseq doctor` and `deepseq demo`: is this machine ready, and does it all work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepfake_seq.commands.options import PATH, json_option, print_json


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say whether this machine is ready: versions, backends, devices, weights."""
    from dataclasses import asdict

    from deepfake_seq import console
    from deepfake_seq import doctor as examination

    findings = examination.examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [["", "what", "found"]]
        rows += [["ok" if f.ok else "FAIL", f.name, f.detail] for f in findings]
        click.echo(console.table(rows))
    if not all(finding.ok for finding in findings):
        sys.exit(1)


@click.command()
@click.option("--out", type=PATH, default="demo", show_default=True, help="Where it all goes.")
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Do it all in a minute or two, offline, on clips that it makes itself."""
    from deepfake_seq.demo import show

    def echo_message(line: str) -> None:
        click.echo(line, err=as_json)

    summary: dict[str, Any] = show.run_demo(out, echo_message)
    if as_json:
        print_json(summary)
