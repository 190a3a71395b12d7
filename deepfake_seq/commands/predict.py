"""`deepseq predict`: a verdict on clips."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    EXISTING,
    INCONCLUSIVE,
    PATH,
    absolute,
    echo_line,
    echo_message,
    json_option,
    limits,
    memory_option,
    print_json,
    runtime_option,
    timeout_option,
    workers_option,
)


@click.command()
@click.argument("clips", nargs=-1, required=True, type=EXISTING, metavar="CLIP...")
@click.option("--run", "run_folder", type=PATH, help="The model.  [default: the newest in runs/]")
@click.option("--detector-weights", type=EXISTING, help="Where that file of the run is now.")
@click.option("--weights", type=EXISTING, help="Where the CNN's weights file of the run is now.")
@runtime_option
@workers_option
@timeout_option
@memory_option
@json_option
def predict(
    clips: tuple[Path, ...],
    run_folder: Path | None,
    detector_weights: Path | None,
    weights: Path | None,
    runtime: str,
    workers: int,
    timeout: float,
    memory: float,
    as_json: bool,
) -> None:
    """Say of each clip whether it is real or fake, or that it cannot be said."""
    from deepfake_seq import predict as predicting
    from deepfake_seq.sequence.runs import run

    folder = run_folder or run.newest(Path("runs"))
    override = predicting.WeightsOverride(absolute(detector_weights), absolute(weights))
    execution = config.ExecutionConfig(runtime, workers, limits(timeout, memory))
    verdicts = []
    for warning in run.describe(folder).warnings:
        echo_message(f"NOTE: {warning}")
    for verdict in predicting.predict(clips, folder, execution, override):
        verdicts.append(verdict)
        if not as_json:
            echo_line(_verdict_line(verdict))
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    if any(verdict.verdict == predicting.INCONCLUSIVE for verdict in verdicts):
        sys.exit(INCONCLUSIVE)


def _verdict_line(verdict: Any) -> str:
    frames = f"{verdict.frames_used} of {verdict.frames_sampled} frames"
    if verdict.score is None:
        return f"{verdict.path}: inconclusive ({verdict.reason})"
    relation = "at or above" if verdict.verdict == "fake" else "below"
    return (
        f"{verdict.path}: {verdict.verdict} (score {verdict.score:.3f}, {relation} the threshold "
        f"{verdict.threshold:.3f}, {verdict.decision.basis} of {verdict.data}; {frames}; "
        f"{verdict.run})"
    )
