"""How commands print verdicts: lines of text, JSON or CSV, and a summary of many."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import console
from deepfake_seq.commands.options import json_option, option, together
from deepfake_seq.commands.output import INCONCLUSIVE, echo_line, print_json
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.verdict import PersonVerdict, Verdict

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
"""The first columns of `--csv`; `people` is the number of people, the others are attributes."""


output_options = together(
    json_option,
    option(
        "--jsonl",
        "as_json_lines",
        is_flag=True,
        help="Print one JSON object per line, as soon as a clip is done.",
    ),
    option(
        "--csv",
        "as_csv",
        is_flag=True,
        help="Print one row of comma-separated values per clip, as soon as the clip is done.",
    ),
)


class VerdictPrinter:
    """Prints verdicts in the form that `output_options` select.

    Args:
        options: Values of `output_options` by parameter name; they are removed.
        verbose: Whether to also print how the threshold was set, and the run.
        more: Names of further values of each verdict, which become columns and keys.
    """

    def __init__(
        self, options: dict[str, Any], verbose: bool = False, more: Sequence[str] = ()
    ) -> None:
        as_json, as_lines, self._as_csv = (
            options.pop(name) for name in ("as_json", "as_json_lines", "as_csv")
        )
        if as_json + as_lines + self._as_csv > 1:
            raise UsageError("give only one of --json, --jsonl and --csv")
        self._as_lines = as_lines
        self._document: list[dict[str, Any]] | None = [] if as_json else None
        self._verbose = verbose
        self._summary = VerdictCounts()
        if self._as_csv:
            _echo_csv([*CSV_COLUMNS, *more])

    @property
    def is_ordered(self) -> bool:
        """Whether the verdicts are printed in the order of the clips."""
        return not (self._as_lines or self._as_csv)

    def add(self, verdict: Verdict, **more: str) -> None:
        """Print a verdict, with further values."""
        self._summary.add(verdict)
        if self._document is not None:
            self._document.append({**asdict(verdict), **more})
        elif self._as_lines:
            click.echo(json.dumps({**asdict(verdict), **more}, allow_nan=False))
        elif self._as_csv:
            values = {name: getattr(verdict, name) for name in CSV_COLUMNS}
            _echo_csv([*{**values, "people": len(verdict.people)}.values(), *more.values()])
        else:
            _echo_text(verdict, self._verbose)
            for name, value in more.items():
                echo_line(f"  {name}: {value}")

    def finish(self) -> None:
        """Print the summary; exit with code 4 if a verdict was inconclusive."""
        if self._document is not None:
            print_json(self._document)
        elif self._summary.clips > 1:
            self._summary.echo()
        if self._summary.has_inconclusive:
            sys.exit(INCONCLUSIVE)


def _echo_csv(cells: Sequence[object]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    click.echo(buffer.getvalue(), nl=False)


class VerdictCounts:
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
                details = " to ".join(f"{score:.3f}" for score in sorted({*self._scores[kind]}))
            rows.append([kind, str(count), details])
        click.echo(console.table(rows), err=True)


def _echo_text(verdict: Verdict, verbose: bool) -> None:
    """Print the line of a verdict, its windows and people, and with `verbose` its basis."""
    from deepfake_seq.verdict_text import outcome, threshold_text

    if verdict.score is None:
        echo_line(f"{verdict.path}: inconclusive ({verdict.reason})")
    else:
        echo_line(
            f"{verdict.path}: {verdict.verdict}, score {verdict.score:.3f}, "
            f"threshold {verdict.threshold:.3f}, "
            f"{verdict.frames_used} of {verdict.frames_sampled} frames"
        )
    if verdict.matched:
        echo_line(f"  {verdict.matched.sentence}")
    if verdict.reference:
        echo_line(f"  {verdict.reference.sentence}")
    for window in verdict.windows:
        time = f"{window.start_seconds:.1f} to {window.end_seconds:.1f} s"
        echo_line(f"  {time}: {outcome(window)}")
    if len(verdict.people) > 1:
        for number, person in enumerate(verdict.people, start=1):
            echo_line(f"  person {number}: {outcome(person)}; {_appearance(person)}")
    if verbose and verdict.novelty:
        echo_line(f"  {verdict.novelty.sentence}")
    if verbose:
        echo_line(f"  threshold {threshold_text(verdict)}; run {verdict.run}")


def _appearance(person: PersonVerdict) -> str:
    """Return when and where a person is seen."""
    left, top, right, bottom = person.box_xyxy
    width, height = person.frame_size
    return (
        f"{person.start_seconds:.1f} to {person.end_seconds:.1f} s, {person.frames_used} frames, "
        f"first at {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f} of {width}×{height} pixels"
    )
