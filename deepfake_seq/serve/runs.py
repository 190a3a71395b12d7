"""The runs that a server offers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepfake_seq.errors import RunError
from deepfake_seq.sequence.runs import run

_LOG = logging.getLogger(__name__)


class OfferedRuns:
    """The runs in some folders; looked up again at each call, so that new runs appear.

    Args:
        folders: Run directories, and folders that contain some.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._damaged: set[Path] = set()

    def newest_first(self) -> list[dict[str, Any]]:
        """Return `run`, `title`, `created` and `clips` of each run; `run` is its path as text."""
        described = []
        for folder in self._found():
            try:
                description = run.describe(folder)
            except RunError as error:
                if folder not in self._damaged:
                    self._damaged.add(folder)
                    _LOG.warning("not offered: %s", error)
                continue
            described.append(
                {
                    "run": str(folder),
                    "title": description.title,
                    "created": description.created,
                    "clips": description.decision.clips,
                    "data": description.data,
                }
            )
        return sorted(described, key=lambda values: str(values["created"]), reverse=True)

    def _found(self) -> list[Path]:
        found = []
        for folder in self._folders:
            if (folder / run.DESCRIPTION).is_file():
                found.append(folder)
            else:
                found += sorted(path.parent for path in folder.glob(f"*/{run.DESCRIPTION}"))
        return found
