"""Which clips a run was trained on and judged by: `split.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from deepfake_seq import atomic
from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.untrusted import decode

NAME = "split.json"

_MAX_BYTES = 1 << 28


class SplitClip(Struct, frozen=True, forbid_unknown_fields=True):
    """A clip of a part.

    Attributes:
        sha256: Of the video file, in hex, or "" where it is not known.
        groups: Identities and source videos in it.
    """

    sha256: str
    groups: tuple[str, ...]


Split = dict[str, dict[str, SplitClip]]
"""The clips of each part by their ids."""


def write_split(folder: Path, parts: Mapping[str, Mapping[str, Clip]]) -> None:
    """Write which clips stand in which part: the SHA-256 and the groups of each by its id."""
    values = {
        part: {
            video_id: {"sha256": clip.sha256, "groups": list(clip.groups)}
            for video_id, clip in clips.items()
        }
        for part, clips in parts.items()
    }
    atomic.write_json(folder / NAME, values)


def read_split(folder: Path) -> Split:
    """What `write_split` wrote.

    Raises:
        RunError: It is not there, or something else.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        raise RunError(f"{folder} has no {NAME}: it was not made by `deepseq fit`")
    return decode(path, Split, _MAX_BYTES)
