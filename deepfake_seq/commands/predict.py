"""`deepseq predict`: verdicts on clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake_seq.commands.clips import (
    AuditLog,
    audit_option,
    clips_argument,
    echo_run_notes,
    run_options,
    videos_in,
    weights_of,
)
from deepfake_seq.commands.options import (
    EXISTING,
    command,
    execution_options,
    execution_settings,
    from_options,
    option,
    options_of,
)
from deepfake_seq.commands.output import echo_message
from deepfake_seq.commands.verdicts import VerdictPrinter, output_options
from deepfake_seq.config import PredictConfig

if TYPE_CHECKING:
    from deepfake_seq.verdict import Verdict

_SELECTION = "People and time"


@command()
@clips_argument
@run_options
@option(
    "--reference",
    type=EXISTING,
    metavar="DIR",
    help="Folder of genuine clips of the same person, to compare the clip with.",
)
@options_of(PredictConfig, "people", "short_side", heading=_SELECTION)
@options_of(PredictConfig, "window_seconds", "start_seconds", "end_seconds", heading=_SELECTION)
@options_of(PredictConfig, "novelty_alpha")
@execution_options
@option(
    "--verbose",
    is_flag=True,
    help="Also print how the threshold was set, the run, and the notes of the run.",
)
@audit_option
@output_options
def predict(
    clips: tuple[Path, ...],
    run_folder: Path | None,
    reference: Path | None,
    verbose: bool,
    audit: Path | None,
    **options: Any,
) -> None:
    """Classify clips as real, fake or inconclusive.

    CLIP is a video or a folder of videos. The score is the calibrated probability of fake; a score
    at or above the threshold means fake. Every person in a clip is classified, and the clip gets
    the verdict of the most suspicious one. With several clips, a summary is printed on stderr,
    except with --json. The exit code is 4 if a clip is inconclusive: it cannot be read, shows too
    little of a face, or has a score in the abstention band.
    """
    from deepfake_seq.sequence.runs import condition_table, run

    printer = VerdictPrinter(options, verbose)
    folder = run_folder or run.newest(Path("runs"))
    echo_run_notes(folder, run.describe(folder).warnings, verbose)
    if verbose and condition_table.read_table(folder) is None:
        echo_message(
            f"NOTE: `deepseq stress {folder}` would measure the error rates of the run under the "
            "conditions of a clip, such as its face size and compression."
        )
    log = AuditLog(audit, folder)
    paths = list(videos_in(clips))
    genuine = list(videos_in([reference])) if reference else []
    for verdict in _predict(paths, genuine, folder, options, in_order=printer.is_ordered):
        log.add(verdict)
        printer.add(verdict)
    printer.finish()


def _predict(
    paths: Sequence[Path],
    genuine: Sequence[Path],
    run_folder: Path,
    options: dict[str, Any],
    *,
    in_order: bool,
) -> Iterator[Verdict]:
    """Yield the verdicts in the order of the clips, or as soon as each clip is done."""
    from deepfake_seq import predict as predicting

    arguments = (run_folder, execution_settings(options), weights_of(options))
    settings = from_options(PredictConfig, options)
    if in_order:
        yield from predicting.predict(paths, *arguments, settings, genuine)
        return
    with predicting.Predictor(
        *arguments, settings, reference=genuine, clips=len(paths)
    ) as predictor:
        yield from (verdict for _, verdict in predictor.verdicts(paths))
