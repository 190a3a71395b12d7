"""`deepseq predict`: verdicts on clips."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
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
from deepfake_seq.commands.output import echo_message, echo_notes, print_json
from deepfake_seq.config import PredictConfig
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.predict import WeightsOverride
    from deepfake_seq.verdict import Verdict

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
@option(
    "--jsonl",
    "as_json_lines",
    is_flag=True,
    help="Print one JSON object per line, as soon as a clip is done.",
)
@option(
    "--csv",
    "as_csv",
    is_flag=True,
    help="Print one row of comma-separated values per clip, as soon as the clip is done.",
)
def predict(
    clips: tuple[Path, ...],
    run_folder: Path | None,
    detector_weights: Path | None,
    weights: Path | None,
    verbose: bool,
    as_json: bool,
    as_json_lines: bool,
    as_csv: bool,
    **options: Any,
) -> None:
    """Classify clips as real, fake or inconclusive.

    CLIP is a video or a folder of videos. The score is the calibrated probability of fake; a score
    at or above the threshold means fake. Every person in a clip is classified, and the clip gets
    the verdict of the most suspicious one. With several clips, a summary is printed on stderr,
    except with --json. The exit code is 4 if a clip is inconclusive: it cannot be read, shows too
    little of a face, or has a score in the abstention band.
    """
    from deepfake_seq.commands import verdicts
    from deepfake_seq.predict import WeightsOverride
    from deepfake_seq.sequence.runs import run

    if as_json + as_json_lines + as_csv > 1:
        raise UsageError("give only one of --json, --jsonl and --csv")
    folder = run_folder or run.newest(Path("runs"))
    override = WeightsOverride(_absolute(detector_weights), _absolute(weights))
    _echo_run_notes(folder, run.describe(folder).warnings, verbose)
    predicted = _predict(
        list(_videos(clips)), folder, override, options, as_completed=as_json_lines or as_csv
    )
    summary = verdicts.Summary()
    document: list[Verdict] = []
    echo: Callable[[Verdict], None] = partial(verdicts.echo_text, verbose=verbose)
    if as_json:
        echo = document.append
    elif as_json_lines:
        echo = verdicts.echo_json_line
    elif as_csv:
        echo = verdicts.echo_csv_line
        verdicts.echo_csv_header()
    for verdict in predicted:
        summary.add(verdict)
        echo(verdict)
    if as_json:
        print_json([asdict(verdict) for verdict in document])
    elif summary.clips > 1:
        summary.echo()
    if summary.has_inconclusive:
        sys.exit(EXIT_INCONCLUSIVE)


def _predict(
    paths: Sequence[Path],
    run_folder: Path,
    override: WeightsOverride,
    options: dict[str, Any],
    *,
    as_completed: bool,
) -> Iterator[Verdict]:
    """Yield the verdicts, as soon as each clip is done if `as_completed`, else in order."""
    from deepfake_seq import predict as predicting

    arguments = (run_folder, execution_settings(options), override)
    settings = from_options(PredictConfig, options)
    if as_completed:
        with predicting.Predictor(*arguments, settings, clips=len(paths)) as predictor:
            yield from (verdict for _, verdict in predictor.verdicts(paths))
    else:
        yield from predicting.predict(paths, *arguments, settings)


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
