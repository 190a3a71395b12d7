"""`deepseq predict`: verdicts on clips."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
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
    from_options,
    json_option,
    option,
    options_of,
)
from deepfake_seq.commands.output import INCONCLUSIVE as EXIT_INCONCLUSIVE
from deepfake_seq.commands.output import (
    echo_line,
    echo_message,
    echo_notes,
    print_json,
)
from deepfake_seq.config import PredictConfig

if TYPE_CHECKING:
    from deepfake_seq.verdict import PersonVerdict, Verdict, WindowVerdict

_RUN = "Run"
_SELECTION = "People and time"


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
@options_of(PredictConfig, "people", "short_side", heading=_SELECTION)
@options_of(PredictConfig, "window_seconds", "start_seconds", "end_seconds", heading=_SELECTION)
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

    CLIP is a video or a folder of videos. The score is the calibrated probability of fake; a score
    at or above the threshold means fake. Every person in a clip is classified, and the clip gets
    the verdict of the most suspicious one. The exit code is 4 if a clip is inconclusive: it cannot
    be read, shows too little of a face, or has a score in the abstention band.
    """
    from deepfake_seq import predict as predicting
    from deepfake_seq.sequence.runs import run
    from deepfake_seq.verdict import INCONCLUSIVE

    folder = run_folder or run.newest(Path("runs"))
    override = predicting.WeightsOverride(_absolute(detector_weights), _absolute(weights))
    _echo_run_notes(folder, run.describe(folder).warnings, verbose)
    verdicts = []
    execution, settings = execution_settings(options), from_options(PredictConfig, options)
    paths = list(_videos(clips))
    for verdict in predicting.predict(paths, folder, execution, override, settings):
        verdicts.append(verdict)
        if not as_json:
            _echo_verdict(verdict, verbose)
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    if any(verdict.verdict == INCONCLUSIVE for verdict in verdicts):
        sys.exit(EXIT_INCONCLUSIVE)


def _videos(paths: Sequence[Path]) -> Iterator[Path]:
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
    """Print the line of a verdict, its windows and people, and with `verbose` its basis."""
    if verdict.score is None:
        echo_line(f"{verdict.path}: inconclusive ({verdict.reason})")
    else:
        echo_line(
            f"{verdict.path}: {verdict.verdict}, score {verdict.score:.3f}, "
            f"threshold {verdict.threshold:.3f}, "
            f"{verdict.frames_used} of {verdict.frames_sampled} frames"
        )
    for window in verdict.windows:
        time = f"{window.start_seconds:.1f} to {window.end_seconds:.1f} s"
        echo_line(f"  {time}: {_outcome(window)}")
    if len(verdict.people) > 1:
        for number, person in enumerate(verdict.people, start=1):
            echo_line(f"  person {number}: {_outcome(person)}; {_appearance(person)}")
    if verbose:
        echo_line(
            f"  threshold {verdict.threshold:.3f} {verdict.decision.basis} of {verdict.data}; "
            f"run {verdict.run}"
        )


def _outcome(judged: PersonVerdict | WindowVerdict) -> str:
    if judged.score is None:
        return f"inconclusive ({judged.reason})"
    return f"{judged.verdict}, score {judged.score:.3f}"


def _appearance(person: PersonVerdict) -> str:
    """Return when and where a person is seen."""
    left, top, right, bottom = person.box_xyxy
    width, height = person.frame_size
    return (
        f"{person.start_seconds:.1f} to {person.end_seconds:.1f} s, {person.frames_used} frames, "
        f"first at {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f} of {width}×{height} pixels"
    )
