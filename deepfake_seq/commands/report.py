"""`deepseq report`: a report on each clip, for people to read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake_seq.commands.clips import (
    AuditLog,
    audit_option,
    clips_argument,
    command_line,
    echo_run_notes,
    report_content,
    report_content_options,
    run_options,
    videos_in,
    weights_of,
)
from deepfake_seq.commands.options import (
    PATH,
    command,
    execution_options,
    execution_settings,
    from_options,
    option,
    options_of,
)
from deepfake_seq.commands.output import writing
from deepfake_seq.commands.verdicts import VerdictPrinter, output_options
from deepfake_seq.config import PredictConfig

if TYPE_CHECKING:
    from deepfake_seq.explain.clip_report import ClipReport

_MAX_NAME_BYTES = 200
"""File systems allow 255 bytes; numbers and suffixes are added."""

_SELECTION = "People and time"


@command()
@clips_argument
@run_options
@option("--out", type=PATH, required=True, help="Folder to write the reports to.")
@options_of(PredictConfig, "people", "short_side", heading=_SELECTION)
@options_of(PredictConfig, "window_seconds", "start_seconds", "end_seconds", heading=_SELECTION)
@options_of(PredictConfig, "novelty_alpha")
@report_content_options
@execution_options
@audit_option
@output_options
def report(
    clips: tuple[Path, ...],
    run_folder: Path | None,
    out: Path,
    audit: Path | None,
    **options: Any,
) -> None:
    """Classify clips, and write a report on each.

    CLIP is a video or a folder of videos. Each report is one HTML file that loads nothing: the
    verdict and how strong it is, when and where in the face the model sees signs of a fake, what
    the file says about itself, how often the run is wrong, and what was not examined. A JSON file
    with the same content is beside it. The verdicts and the exit codes are those of
    `deepseq predict`.
    """
    from deepfake_seq.explain.reporter import Reporter
    from deepfake_seq.predict import in_order
    from deepfake_seq.sequence.runs import run

    printer = VerdictPrinter(options, more=("report", "document"))
    folder = run_folder or run.newest(Path("runs"))
    echo_run_notes(folder, run.describe(folder).warnings, verbose=False)
    log = AuditLog(audit, folder)
    paths = list(videos_in(clips))
    files = [out / f"{name}.html" for name in _names(paths)]
    with Reporter(
        folder,
        execution_settings(options),
        weights_of(options),
        from_options(PredictConfig, options),
        report_content(options, command_line()),
        clips=len(paths),
    ) as reporter:
        reports = reporter.reports(paths)
        for number, made in in_order(reports) if printer.is_ordered else reports:
            page, document = files[number], files[number].with_suffix(".json")
            with writing(page, "--out"):
                digest = _write(made, page, document)
            log.add(made.verdict, report=str(page), report_sha256=digest)
            printer.add(made.verdict, report=str(page), document=str(document))
    printer.finish()


def _write(made: ClipReport, page: Path, document: Path) -> str:
    """Write a report; return the SHA-256 of its HTML file."""
    from deepfake_seq import atomic
    from deepfake_seq.explain import clip_report
    from deepfake_seq.explain.page import render

    content = render(made).encode()
    atomic.write_json(document, clip_report.document(made))
    atomic.write_bytes(page, content)
    return hashlib.sha256(content).hexdigest()


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """Yield a file name for each clip; clips of the same name get numbers."""
    used: set[str] = set()
    for path in paths:
        start = os.fsdecode(os.fsencode(path.name)[:_MAX_NAME_BYTES])
        name = next(
            name
            for name in (start, *(f"{start}-{number}" for number in range(2, len(paths) + 2)))
            if name not in used
        )
        used.add(name)
        yield name
