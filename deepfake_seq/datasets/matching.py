"""Find the video that a path in a list means."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.config import VIDEO_SUFFIXES
from deepfake_seq.datasets.items import VideoItem
from deepfake_seq.datasets.same_file import file_identity

_SPLIT_NAMES = frozenset(
    {"dev", "eval", "test", "testing", "train", "training", "val", "validation"}
)


class PathMatch(NamedTuple):
    """Videos that a path in a list can mean.

    Attributes:
        positions: Positions of the videos; several if the path is ambiguous or a file has several.
        is_guess: Whether folders in the path were disregarded; a row that matches better is right.
    """

    positions: tuple[int, ...] = ()
    is_guess: bool = False


class VideoIndex:
    r"""Index of videos by the ways to write their paths.

    A path matches, in this order:

    1. a `video_id`, an absolute path, or a path relative to the list;
    2. the end of an absolute path: `a.mp4` or `real/a.mp4` for `/data/set/real/a.mp4`;
    3. a `video_id` with a folder in it, if it is the end of the path: `D:\old\real\a.mp4` for
       `real/a.mp4`, unless the folders above them are different splits (`train`, `test`).

    In the last two, backslashes separate folders, the suffix may be missing, and upper and lower
    case and the forms of Unicode (NFC, NFD) make no difference, unless they do between files.
    """

    def __init__(self, items: Sequence[VideoItem], list_path: Path) -> None:
        """Index `items`.

        Args:
            items: Videos; `find` returns their positions.
            list_path: Path of the list.
        """
        self._items = items
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._by_end: dict[str, list[int]] = defaultdict(list)
        self._paths: list[str] = []
        folder = list_path.absolute().parent
        for position, item in enumerate(items):
            path = item.absolute
            relative = Path(os.path.relpath(path, folder)).as_posix()
            for key in {item.video_id, str(path), str(item.path), relative}:
                self._exact[key].append(position)
            normal = _normal(path.as_posix())
            self._paths.append(normal)
            ends = {_end(text, levels) for text in _spellings(normal) for levels in (1, 2)}
            for key in ends:
                self._by_end[key].append(position)

    def find(self, text: str) -> PathMatch:
        """Return the positions of the videos that a path can mean."""
        if exact := self._exact.get(posixpath.normpath(text)) if text else None:
            return PathMatch(tuple(exact))
        path = _normal(text)
        candidates = self._by_end.get(_end(path, 2), [])
        found = [position for position in candidates if self._ends_with(position, path)]
        if found:
            as_written = text.replace("\\", "/")
            same = [n for n in found if self._items[n].absolute.as_posix().endswith(as_written)]
            return PathMatch(tuple(same or found))
        guesses = [position for position in candidates if self._is_moved(position, path)]
        return PathMatch(tuple(guesses), is_guess=True)

    def is_one_file(self, positions: Sequence[int]) -> bool:
        """Return whether all positions are paths of the same file."""
        if len(positions) < 2:
            return True
        return len({file_identity(self._items[position].path) for position in positions}) == 1

    def _ends_with(self, position: int, path: str) -> bool:
        spellings = _spellings(self._paths[position])
        return any(f"/{spelling}".endswith(f"/{path}") for spelling in spellings)

    def _is_moved(self, position: int, path: str) -> bool:
        """Return whether a path ends with a `video_id` that has a folder in it."""
        item = self._items[position]
        for video_id in _spellings(_normal(item.video_id)):
            if "/" in video_id and path.endswith(f"/{video_id}"):
                above = posixpath.basename(path.removesuffix(f"/{video_id}"))
                names = {above, _normal(item.root.name)}
                return len(names) == 1 or not names <= _SPLIT_NAMES
        return False


def _normal(path: str) -> str:
    """Return a path in one spelling: slashes, no drive, no leading slash, folded case, NFC."""
    path = re.sub(r"^[A-Za-z]:", "", path.replace("\\", "/"))
    path = posixpath.normpath(unicodedata.normalize("NFC", path)).lstrip("/")
    return unicodedata.normalize("NFC", path.casefold())


def _end(path: str, levels: int) -> str:
    return "/".join(path.split("/")[-levels:])


def _spellings(path: str) -> Iterator[str]:
    """Yield a path, and the path without the suffix of a video."""
    yield path
    stem, suffix = posixpath.splitext(path)
    if suffix in VIDEO_SUFFIXES:
        yield stem
