"""`deepseq predict`: verdicts on clips."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import (
    EXISTING,
    PATH,
    command,
    execution_options,
    execution_settings,
    json_option,
    option,
)
from deepfake_seq.commands.output import (
    INCONCLUSIVE,
    echo_line,
    echo_message,
    echo_notes,
    print_json,
)

if TYPE_CHECKING:
    from deepfake_seq.predict import Verdict

_RUN = "Run"


@command()
@click.argument("clips", nargs=-1, required=True, type=EXISTING, metavar="CLIP...")
@option(
    "--run",
    "run_folder",
    type=PATH,
    show_default="the newest in runs/",
    heading=_RUN,
    help="Run whose model is used.",
)
@option(
    "--detector-weights",
    type=EXISTING,
    heading=_RUN,
    help="Current path of the detector weights file that the run was trained with.",
)
@option(
    "--weights",
    type=EXISTING,
    heading=_RUN,
    help="Current path of the CNN weights file that the run was trained with.",
)
@execution_options
@option(
    "--verbose",
    is_flag=True,
    help="Also print how the threshold was set, the run, and the notes of the run.",
)
@json_option
def predict(
    clips: tuple[Path, ...],
    run_folder: Path | None,
    detector_weights: Path | None,
    weights: Path | None,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Classify clips as real, fake or inconclusive.

    The score is the calibrated probability of fake; a score at or above the threshold means fake.
    The exit code is 4 if a clip is inconclusive: it cannot be read, shows too little of a face, or
    has a score in the abstention band.
    """
    from deepfake_seq import predict as predicting
    from deepfake_seq.sequence.runs import run

    folder = run_folder or run.newest(Path("runs"))
    override = predicting.WeightsOverride(_absolute(detector_weights), _absolute(weights))
    _echo_run_notes(folder, run.describe(folder).warnings, verbose)
    verdicts = []
    for verdict in predicting.predict(clips, folder, execution_settings(options), override):
        verdicts.append(verdict)
        if not as_json:
            _echo_verdict(verdict, verbose)
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    if any(verdict.verdict == predicting.INCONCLUSIVE for verdict in verdicts):
        sys.exit(INCONCLUSIVE)


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None


def _echo_run_notes(folder: Path, notes: Sequence[str], verbose: bool) -> None:
    """Print the notes of a run, or only their number."""
    if verbose:
        echo_notes(notes)
    elif notes:
        count = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
        echo_message(f"the run has {count}; `deepseq info {folder}` or --verbose prints them")


def _echo_verdict(verdict: Verdict, verbose: bool) -> None:
    """Print the line of a verdict, and with `verbose` a second one with its basis."""
    if verdict.score is None:
        echo_line(f"{verdict.path}: inconclusive ({verdict.reason})")
    else:
        echo_line(
            f"{verdict.path}: {verdict.verdict}, score {verdict.score:.3f}, "
            f"threshold {verdict.threshold:.3f}, "
            f"{verdict.frames_used} of {verdict.frames_sampled} frames"
        )
    if verbose:
        echo_line(
            f"  threshold {verdict.threshold:.3f} {verdict.decision.basis} of {verdict.data}; "
            f"run {verdict.run}"
        )
