"""The command line: one group, its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import logging
from typing import Any

import click

from deepfake_seq import __version__
from deepfake_seq.commands.checkup import demo, doctor
from deepfake_seq.commands.compare import compare
from deepfake_seq.commands.dataset import dataset
from deepfake_seq.commands.evaluate import evaluate
from deepfake_seq.commands.extract import extract
from deepfake_seq.commands.faces import faces
from deepfake_seq.commands.finetune import finetune
from deepfake_seq.commands.fit import fit
from deepfake_seq.commands.info import info
from deepfake_seq.commands.predict import predict
from deepfake_seq.commands.store import merge, verify
from deepfake_seq.commands.sweep import sweep
from deepfake_seq.commands.weights import weights
from deepfake_seq.errors import DeepseqError


class _Group(click.Group):
    """Turns expected errors into one line and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DeepseqError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"deepseq: {' '.join(str(error).split())}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deepseq")
@click.option("--debug", is_flag=True, help="Show the traceback of expected errors too.")
def app(debug: bool) -> None:
    """Tell real face videos from deepfakes. Extract once, experiment in seconds.

    \b
    deepseq extract videos/          videos to features, once
    deepseq fit --bidirectional      features to a trained model
    deepseq predict clip.mp4         a verdict on a clip
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
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
    predict,
    faces,
    info,
    verify,
    merge,
    weights,
    doctor,
    demo,
):
    app.add_command(command)


def main() -> None:
    """Run the command line."""
    app(prog_name="deepseq")
