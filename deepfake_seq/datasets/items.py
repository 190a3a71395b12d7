"""A labelled video."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.errors import UsageError

FAKE = 1
REAL = 0
UNKNOWN = -1
LABEL_NAMES = {FAKE: "fake", REAL: "real", UNKNOWN: "unknown"}

_RESERVED = re.compile(rf"(?:#\d+|@(?:{'|'.join(VIEW_KINDS)})\d+)$")
"""Endings of the ids of records made from a video, such as `VIDEO#0` and `VIDEO@view1`.

The grammar of record ids is in `store.record_ids`, which this package must not import.
"""


def absolute(path: Path) -> Path:
    """Return the absolute path, without "..", and without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps ".."


@dataclass(frozen=True)
class VideoItem:
    """A video to extract, with the metadata known before it is opened.

    Attributes:
        path: Path of the file.
        video_id: Path relative to the root that the file was found under, with forward slashes.
            Stays the same when the folder or the store moves.
        label: 1 = fake, 0 = real, -1 = unknown.
        groups: Identities and source videos in the clip; empty if unknown. Clips that share a
            group are never in different splits.
        split: Split assigned by the data set (`train`, `validation`, `test`), or "".
        method: Method of manipulation (`Deepfakes`); "" for real clips or if unknown.
        dataset: Name of the published data set (`celeb-df-v2`), or "".
        span: Start and end in seconds of the only part to use; None for the whole video.
        source: Where the clip comes from, such as a website or a camera; "" if unknown.
        mask_path: Path of a video that shows which pixels of each frame were replaced; None if
            there is none.

    Raises:
        UsageError: `video_id` ends like the id of a person's record or of a view.
    """

    path: Path
    video_id: str
    label: int = UNKNOWN
    groups: tuple[str, ...] = ()
    split: str = ""
    method: str = ""
    dataset: str = ""
    span: tuple[float, float] | None = None
    source: str = ""
    mask_path: Path | None = None

    def __post_init__(self) -> None:
        if ending := _RESERVED.search(self.video_id):
            raise UsageError(
                f"{self.path}: names that end in {ending[0]!r} are reserved for records made from "
                "other videos. Rename the file, for example by adding .mp4."
            )

    @cached_property
    def absolute(self) -> Path:
        """Absolute path of the file, without resolving links."""
        return absolute(self.path)

    @property
    def root(self) -> Path:
        """Absolute path of the folder that `video_id` is relative to."""
        return self.absolute.parents[self.video_id.count("/")]

    @property
    def facts(self) -> dict[str, str]:
        """`method`, `dataset` and `source`, if known, in the form stored in a record."""
        facts = {"method": self.method, "dataset": self.dataset, "source": self.source}
        return {name: value for name, value in facts.items() if value}
