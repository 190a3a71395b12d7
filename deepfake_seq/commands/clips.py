"""Clips to classify with a run: options and arguments that `predict`, `report`, `serve` share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import (
    EXISTING,
    PATH,
    absolute,
    from_options,
    option,
    option_of,
    together,
)
from deepfake_seq.commands.output import echo_message, echo_notes
from deepfake_seq.config import ExplainConfig

if TYPE_CHECKING:
    from deepfake_seq.explain.reporter import ReportConfig
    from deepfake_seq.predict import WeightsOverride
    from deepfake_seq.verdict import Verdict

_RUN = "Run"

clips_argument = click.argument("clips", nargs=-1, required=True, type=EXISTING, metavar="CLIP...")

weights_options = together(
    option(
        "--detector-weights",
        type=EXISTING,
        heading=_RUN,
        help="Current path of the detector weights file that was used in training.",
    ),
    option(
        "--weights",
        type=EXISTING,
        heading=_RUN,
        help="Current path of the CNN weights file that was used in training.",
    ),
)

run_options = together(
    option(
        "--run",
        "run_folder",
        type=PATH,
        show_default="the newest in runs/",
        heading=_RUN,
        help="Run whose model is used.",
    ),
    weights_options,
)

report_content_options = together(
    option_of(ExplainConfig, "maps", "Report"),
    option(
        "--trust-list",
        type=EXISTING,
        heading="Report",
        help="PEM file with root certificates; a C2PA signer that they certify is called trusted.",
    ),
)

audit_option = option(
    "--audit",
    type=PATH,
    metavar="FILE",
    help="Audit log to append each result to; `deepseq verify FILE` checks it.",
)


def weights_of(options: dict[str, Any]) -> WeightsOverride:
    """Return the weights files of `weights_options`."""
    from deepfake_seq.predict import WeightsOverride

    return WeightsOverride(absolute(options["detector_weights"]), absolute(options["weights"]))


def report_content(options: dict[str, Any], command: str = "") -> ReportConfig:
    """Return the settings of `report_content_options`, with the command that makes the reports."""
    from deepfake_seq.explain.reporter import ReportConfig

    return ReportConfig(from_options(ExplainConfig, options), options["trust_list"], command)


def videos_in(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the given files, and each video in the given folders under one of its names."""
    from deepfake_seq import datasets

    for path in paths:
        if path.is_dir():
            names: dict[Path, Path] = {}
            for item in datasets.discover([path]).items:
                names.setdefault(item.path.resolve(), item.path)
            yield from names.values()
        else:
            yield path


def echo_run_notes(folder: Path, notes: Sequence[str], verbose: bool) -> None:
    """Print the notes of a run, or only their number."""
    if verbose:
        echo_notes(notes)
    elif notes:
        count = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
        echo_message(f"the run has {count}; `deepseq info {folder}` or --verbose prints them")


def command_line() -> str:
    """Return the command that this process runs."""
    return shlex.join(["deepseq", *sys.argv[1:]])


class AuditLog:
    """Appends the results of one command to an audit log.

    Args:
        path: Path of the log; None to keep no log.
        run_folder: Path of the run directory.

    Raises:
        DeepseqError: Nothing can be appended to the log.
    """

    def __init__(self, path: Path | None, run_folder: Path) -> None:
        from deepfake_seq import audit
        from deepfake_seq.sequence.runs import run
        from deepfake_seq.weights import digest_of

        self._path = path
        if path is not None:
            audit.require_appendable(path)
            names = (run.DESCRIPTION, run.WEIGHTS)
            self._run = {name: digest_of(run_folder / name) for name in names}

    def add(self, verdict: Verdict, **more: str) -> None:
        """Append a verdict, with further values."""
        if self._path is None:
            return
        from deepfake_seq import audit

        names = ("path", "verdict", "score", "threshold", "cause", "reason", "run")
        audit.append(
            self._path,
            {
                "command": command_line(),
                "clip_sha256": verdict.file.sha256,
                "run_sha256": self._run,
                **{name: getattr(verdict, name) for name in names},
                **more,
            },
        )
