"""Write docs/cli.md from the commands themselves: `python docs/make_cli_reference.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from deepfake_seq.cli import app

TARGET = Path(__file__).with_name("cli.md")

INTRODUCTION = """\
# Commands

Made from the commands' own `--help` by `docs/make_cli_reference.py`; `make test` fails where it has
drifted.

Results go to stdout, everything else to stderr; `--json` prints one JSON document on stdout and
nothing else there. Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but some videos failed
(each recorded with its reason); 4 `predict` was inconclusive for at least one clip. An expected
error is one line on stderr; `deepseq --debug COMMAND` shows its traceback.
"""


def reference() -> str:
    """The whole page."""
    sections = [INTRODUCTION]
    for name, command in commands(app, "deepseq"):
        context = click.Context(
            command, info_name=name, max_content_width=96, terminal_width=96, **app.context_settings
        )
        sections.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(sections)


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, with the words that call them."""
    yield name, command
    if isinstance(command, click.Group):
        for part, below in sorted(command.commands.items()):
            yield from commands(below, f"{name} {part}")


if __name__ == "__main__":
    TARGET.write_text(reference())
