"""`deepseq stress`: verdicts of a run on distorted clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepfake_seq.commands.options import (
    EXISTING,
    PATH,
    command,
    execution_options,
    execution_settings,
    features_option,
    from_options,
    json_option,
    option,
    options_of,
)
from deepfake_seq.commands.output import echo_line, print_json
from deepfake_seq.config import StressConfig


@command()
@click.argument("run_folder", type=PATH, metavar="RUN")
@features_option("take the faces from; it needs cached faces (extract --keep-faces)")
@options_of(StressConfig, "clips", "suites", "seed")
@option(
    "--weights",
    type=EXISTING,
    help="Current path of the CNN weights file that the run was trained with.",
)
@execution_options
@json_option
def stress(
    run_folder: Path, features: Path, weights: Path | None, as_json: bool, **options: Any
) -> None:
    """Test a run on distorted clips.

    The validation clips are scored by the network that held them out, and the test clips are
    reported apart. Faces are read from the face cache, distorted, and passed through the CNN of the
    run. An interrupted test is resumed. The tables, plots and page are written to RUN/stress; the
    grid leaves a table in the run from which `predict` reads error rates under the conditions of a
    clip.
    """
    from deepfake_seq import console
    from deepfake_seq import stress as stressing
    from deepfake_seq.predict import WeightsOverride
    from deepfake_seq.sequence.evaluation.robustness import rows
    from deepfake_seq.sequence.reports import robustness

    override = WeightsOverride(backbone=str(weights.absolute()) if weights else None)
    config = from_options(StressConfig, options)
    with stressing.locked(run_folder):
        test = stressing.prepare(run_folder, features, config, override)
        with console.progress("stress", len(test.missing), "clips") as step:
            stressing.compute(test, execution_settings(options), step)
        results = stressing.results(test)
        summary = stressing.summary(test, results)
        files = robustness.write(run_folder / robustness.FOLDER, summary)
        files |= stressing.write_table(test)
    if as_json:
        print_json({**summary, "files": files})
        return
    for split, distorted in results.items():
        echo_line(f"{split} clips at the threshold {test.model.decision.threshold:.3f}")
        click.echo(console.table(rows(distorted)))
    for name, path in files.items():
        echo_line(f"{name}: {path}")
