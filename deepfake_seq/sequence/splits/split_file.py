"""Read and write `split.json`: the clips in each split of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from deepfake_seq import atomic
from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.untrusted import decode

NAME = "split.json"

_MAX_BYTES = 1 << 28


class SplitClip(Struct, frozen=True, forbid_unknown_fields=True):
    """A clip in a split.

    Attributes:
        sha256: SHA-256 of the video file in hex, or "" if unknown.
        groups: Identities and source videos in the clip.
    """

    sha256: str
    groups: tuple[str, ...]


Split = dict[str, dict[str, SplitClip]]
"""The clips of each split by their ids."""


def write_split(folder: Path, splits: Mapping[str, Mapping[str, Clip]]) -> None:
    """Write the SHA-256 and the groups of each clip, by split and id."""
    values = {
        split_name: {
            video_id: {"sha256": clip.sha256, "groups": list(clip.groups)}
            for video_id, clip in clips.items()
        }
        for split_name, clips in splits.items()
    }
    atomic.write_json(folder / NAME, values)


def read_split(folder: Path) -> Split:
    """Read the clips in each split of a run.

    Raises:
        RunError: The file is missing, damaged or invalid.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        raise RunError(f"{folder} has no {NAME}: it was not created by `deepseq fit`")
    return decode(path, Split, _MAX_BYTES)
