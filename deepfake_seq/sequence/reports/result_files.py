"""Write the results of an experiment as JSON, CSV, PNG and HTML with one base name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.errors import RunError


def write_results(
    base: Path, results: Mapping[str, Any], *, table: bytes, plot: bytes, report: str
) -> dict[str, str]:
    """Write the files of an experiment; `results` is written first.

    Args:
        base: Path of the files without their suffixes.
        results: The results as plain JSON values.
        table: The CSV file.
        plot: The PNG file.
        report: The HTML page.

    Returns:
        Paths of the files by kind: `results`, `table`, `plot` and `report`.

    Raises:
        RunError: A file cannot be written.
    """
    page = report.encode()
    contents = {"table": (".csv", table), "plot": (".png", plot), "report": (".html", page)}
    paths = {"results": base.with_suffix(".json")}
    try:
        atomic.write_json(paths["results"], results)
        for kind, (suffix, content) in contents.items():
            paths[kind] = base.with_suffix(suffix)
            atomic.write_bytes(paths[kind], content)
    except OSError as error:
        raise RunError(f"cannot write {base.parent}: {error.strerror}") from error
    return {kind: str(path) for kind, path in paths.items()}
