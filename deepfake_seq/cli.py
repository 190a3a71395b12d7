"""The command line: the group of all commands, and how errors become messages and exit codes."""

from __future__ import annotations

import atexit
import gc
import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NoReturn

import click

from deepfake_seq import __version__, console
from deepfake_seq.errors import DeepseqError, UsageError

_MODULES = {
    "compare": "compare",
    "dataset": "dataset",
    "demo": "checkup",
    "doctor": "checkup",
    "evaluate": "evaluate",
    "extract": "extract",
    "faces": "faces",
    "finetune": "finetune",
    "fit": "fit",
    "info": "info",
    "matrix": "matrix",
    "merge": "store",
    "predict": "predict",
    "remove": "store",
    "report": "report",
    "serve": "serve",
    "stress": "stress",
    "sweep": "sweep",
    "verify": "store",
    "weights": "weights",
}
"""Module in `deepfake_seq.commands` of each command."""


class _Commands(Mapping[str, click.Command]):
    """The commands by name; each is imported when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        module = import_module(f"deepfake_seq.commands.{_MODULES[name]}")
        command: click.Command = getattr(module, name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


class _Group(click.Group):
    """A group that prints expected errors as messages and exits with their exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of the group itself."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            return _exit_with_usage_error(error, ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            return _exit_with_usage_error(error, ctx)
        except DeepseqError as error:
            if ctx.params.get("debug"):
                raise
            _echo_error(str(error), keep_lines=error.is_multiline)
            if isinstance(error, UsageError):
                _echo_hint(f"{ctx.command_path} {ctx.invoked_subcommand or ''}".rstrip())
            ctx.exit(error.exit_code)


def _exit_with_usage_error(error: click.UsageError, ctx: click.Context) -> NoReturn:
    """Print a usage error of Click like our own errors, and exit with its code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        raise error  # prints the help of a group without arguments
    _echo_error(error.format_message())
    _echo_hint((error.ctx or ctx).command_path)
    ctx.exit(error.exit_code)


def _echo_error(message: str, *, keep_lines: bool = False) -> None:
    lines = message.splitlines() if keep_lines else [" ".join(message.split())]
    click.echo("deepseq: " + "\n".join(map(console.plain, lines)), err=True)


def _echo_hint(command_path: str) -> None:
    click.echo(f"Try '{command_path} --help'.", err=True)


@click.group(
    "deepseq",
    cls=_Group,
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="deepseq", help="Print the version and exit.")
@click.option("--debug", is_flag=True, help="Print the traceback of expected errors too.")
def app(debug: bool) -> None:
    """Tell real face videos from deepfakes. Extract once, experiment in seconds.

    \b
    deepseq extract videos/          extract features from videos, once
    deepseq fit --bidirectional      train a model on the features
    deepseq predict clip.mp4         classify a clip
    """  # noqa: D301 - the backspace tells Click not to rewrap these lines
    del debug  # read by _Group
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("deepseq: %(message)s"))
    logger = logging.getLogger("deepfake_seq")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)


def main() -> None:
    """Run the command line."""
    # Imports create many objects that stay. By default, Python searches them for garbage after
    # every 700 new ones and several times at exit, which is a tenth of the time of a short command.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    app(prog_name="deepseq")
