"""How commands print verdicts: lines of text, JSON or CSV, and a summary of many."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from deepfake_seq import console
from deepfake_seq.commands.output import echo_line

if TYPE_CHECKING:
    from deepfake_seq.verdict import PersonVerdict, Verdict, WindowVerdict

CSV_COLUMNS = (
    "path",
    "verdict",
    "score",
    "threshold",
    "frames_used",
    "frames_sampled",
    "people",
    "cause",
    "reason",
    "run",
)
"""The columns of `--csv`; `people` is the number of people, the others are attributes."""


def echo_json_line(verdict: Verdict) -> None:
    """Print a verdict as a JSON object on one line."""
    click.echo(json.dumps(asdict(verdict), allow_nan=False))


def echo_csv_header() -> None:
    """Print the names of the CSV columns."""
    _echo_csv(CSV_COLUMNS)


def echo_csv_line(verdict: Verdict) -> None:
    """Print a verdict as a row of CSV; a score that is None is left empty."""
    values = {name: getattr(verdict, name) for name in CSV_COLUMNS}
    _echo_csv([*{**values, "people": len(verdict.people)}.values()])


def _echo_csv(cells: Sequence[object]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    click.echo(buffer.getvalue(), nl=False)


class Summary:
    """Counts verdicts, without keeping them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()
        self._scores: dict[str, tuple[float, float]] = {}

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        kind = verdict.verdict
        self._counts[kind] += 1
        if verdict.score is None:
            self._causes[verdict.cause] += 1
        else:
            low, high = self._scores.get(kind, (verdict.score, verdict.score))
            self._scores[kind] = min(low, verdict.score), max(high, verdict.score)

    @property
    def clips(self) -> int:
        """Number of verdicts."""
        return self._counts.total()

    @property
    def has_inconclusive(self) -> bool:
        """Whether a verdict was inconclusive."""
        return bool(self._causes)

    def echo(self) -> None:
        """Print the number of clips with each verdict, with scores or causes, on stderr."""
        rows = [["verdict", "clips", "scores or causes"]]
        for kind, count in self._counts.most_common():
            details = console.counts(self._causes)
            if kind in self._scores:
                details = "{:.3f} to {:.3f}".format(*self._scores[kind])
            rows.append([kind, str(count), details])
        click.echo(console.table(rows), err=True)


def echo_text(verdict: Verdict, verbose: bool) -> None:
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
