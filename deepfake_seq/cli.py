"""The command line: the group of all commands, and how errors become messages and exit codes."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import click

from deepfake_seq import __version__, console
from deepfake_seq.commands.checkup import demo, doctor
from deepfake_seq.commands.compare import compare
from deepfake_seq.commands.dataset import dataset
from deepfake_seq.commands.evaluate import evaluate
from deepfake_seq.commands.extract import extract
from deepfake_seq.commands.faces import faces
from deepfake_seq.commands.finetune import finetune
from deepfake_seq.commands.fit import fit
from deepfake_seq.commands.info import info
from deepfake_seq.commands.matrix import matrix
from deepfake_seq.commands.predict import predict
from deepfake_seq.commands.report import report
from deepfake_seq.commands.serve import serve
from deepfake_seq.commands.store import merge, remove, verify
from deepfake_seq.commands.stress import stress
from deepfake_seq.commands.sweep import sweep
from deepfake_seq.commands.weights import weights
from deepfake_seq.errors import DeepseqError, UsageError


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


@click.group("deepseq", cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
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


for command in (
    dataset,
    extract,
    fit,
    sweep,
    finetune,
    evaluate,
    compare,
    matrix,
    stress,
    predict,
    report,
    serve,
    faces,
    info,
    verify,
    merge,
    remove,
    weights,
    doctor,
    demo,
):
    app.add_command(command)


def main() -> None:
    """Run the command line."""
    app(prog_name="deepseq")
