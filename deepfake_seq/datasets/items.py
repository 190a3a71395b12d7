"""One labelled video."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.errors import UsageError

FAKE = 1
REAL = 0
UNKNOWN = -1
LABEL_NAMES = {FAKE: "fake", REAL: "real", UNKNOWN: "unknown"}

_RESERVED = re.compile(rf"(?:#\d+|@(?:{'|'.join(VIEW_KINDS)})\d+)$")
"""Endings of the ids of records that are made from a video: `VIDEO#0`, `VIDEO@view1` and so on."""


@dataclass(frozen=True)
class VideoItem:
    """A video to extract, and what is known about it before it is opened.

    Attributes:
        path: Where the file is.
        video_id: Its path relative to the root it was found under, with forward slashes. Stays
            the same when the folder or the store moves.
        label: 1 = fake, 0 = real, -1 = unknown.
        groups: The identities and source videos in the clip, as far as they are known. Clips that
            share one never end up on two sides of a split. Empty: nothing is known.
        split: The part that the data set itself assigns (`train`, `validation`, `test`), or "".
        method: How a fake was made (`Deepfakes`); "" for real clips and where nobody says.
        dataset: The published data set that the clip is of (`celeb-df-v2`), or "".

    Raises:
        UsageError: `video_id` ends like that of a person's record or of a view.
    """

    path: Path
    video_id: str
    label: int = UNKNOWN
    groups: tuple[str, ...] = ()
    split: str = ""
    method: str = ""
    dataset: str = ""

    def __post_init__(self) -> None:
        if ending := _RESERVED.search(self.video_id):
            raise UsageError(
                f"{self.path} cannot be told from a record that is made from another video: names "
                f"that end in {ending[0]!r} are reserved. Rename it, for example by adding .mp4."
            )

    @property
    def absolute(self) -> Path:
        """Where the file is, from the top; links stay as they are."""
        return Path(os.path.abspath(self.path))  # noqa: PTH100 - ".." must not remain

    @property
    def root(self) -> Path:
        """The folder that `video_id` is relative to, absolute."""
        return self.absolute.parents[self.video_id.count("/")]

    @property
    def facts(self) -> dict[str, str]:
        """What is known of `method` and `dataset`, as records keep it."""
        facts = {"method": self.method, "dataset": self.dataset}
        return {name: value for name, value in facts.items() if value}
