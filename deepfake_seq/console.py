"""Terminal output: tables as plain text, and progress bars on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


def plain(text: str) -> str:
    """Return the text with control characters escaped: names and notes are untrusted input."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with aligned columns; the first row is the header."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def counts(values: dict[str, int]) -> str:
    """Return counts as text such as `3 ok, 1 no_face`, the most frequent first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered) or "none"


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Callable[[str], None]]:
    """Show a progress bar on stderr with count, rate and remaining time, if it is a terminal.

    Args:
        title: Name of the task.
        total: Number of steps.
        unit: Name of a step, in the plural.

    Yields:
        Function to call after each step, with a short note.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as TimeLeftColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}  {{task.fields[rate]}}  elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeftColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total, rate="", note="")

        def step(note: str) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.2f}/s" if speed else ""
            bar.update(task, advance=1, rate=rate, note=note)

        yield step
