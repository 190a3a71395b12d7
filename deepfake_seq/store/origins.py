"""Where the videos of a store were: a hint that keeps a video from replacing another one.

Records know no paths. `origins.json` maps each video to the folder that its `video_id` is relative
to. It is not needed to read a store, and a store without it is complete.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deepfake_seq import atomic

FILE_NAME = "origins.json"

_FORMAT = "deepseq-origins"
_VERSION = 1
_MAX_BYTES = 1 << 30
_CHECK_DIGITS = 16
_LOG = logging.getLogger(__name__)


class Origin(NamedTuple):
    """The origin of a record.

    Attributes:
        root: Absolute path of the folder that the `video_id` is relative to, or of the face cache
            that the record was made from.
        check: First hex digits of the video file's SHA-256, which bind the origin to the record.
    """

    root: str
    check: str

    @classmethod
    def of(cls, root: str, sha256: str) -> Origin:
        """Return the origin of a video file with this SHA-256 (hex, or "" if unknown)."""
        return cls(root, sha256[:_CHECK_DIGITS])


class Origins(Mapping[str, Origin]):
    """Origin of each video by `video_id`; untrusted, and possibly incomplete or outdated."""

    def __init__(self, by_video: Mapping[str, Origin]) -> None:
        self._by_video = dict(by_video)

    def __getitem__(self, video_id: str) -> Origin:
        return self._by_video[video_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_video)

    def __len__(self) -> int:
        return len(self._by_video)

    @classmethod
    def read(cls, store: Path) -> Origins:
        """Read the origins of a store; empty if there are none or they are damaged."""
        path = store / FILE_NAME
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
            return cls(_decode(json.loads(path.read_bytes())))
        except FileNotFoundError:
            return cls({})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            _LOG.warning("%s is ignored, because it cannot be read: %s", path, error)
            return cls({})

    @property
    def roots(self) -> list[str]:
        """All roots, sorted."""
        return sorted({origin.root for origin in self._by_video.values()})

    def root_of(self, video_id: str, sha256: str) -> str | None:
        """Return the root of the record of a video file with this SHA-256; None if unknown."""
        origin = self._by_video.get(video_id)
        return origin.root if origin and origin == Origin.of(origin.root, sha256) else None

    def to_bytes(self) -> bytes:
        """Encode the origins as JSON in ASCII."""
        roots: dict[str, dict[str, str]] = {root: {} for root in self.roots}
        for video_id, origin in sorted(self._by_video.items()):
            roots[origin.root][video_id] = origin.check
        values = {"format": _FORMAT, "format_version": _VERSION, "roots": roots}
        return f"{json.dumps(values, indent=1)}\n".encode()


def update(
    store: Path, scratch: Path, changes: Mapping[str, Origin], removed: Collection[str] = ()
) -> None:
    """Add origins to a store and remove others; the caller holds `Locks.origins`.

    Args:
        store: Directory of the store.
        scratch: Folder for the temporary file, on the same disk.
        changes: New origins by `video_id`.
        removed: Ids of videos that are no longer in the store.
    """
    before = Origins.read(store)
    after = {name: origin for name, origin in before.items() if name not in removed} | dict(changes)
    if after != dict(before):
        atomic.write_bytes(store / FILE_NAME, Origins(after).to_bytes(), scratch)


def _decode(values: Any) -> dict[str, Origin]:
    """Decode the output of `Origins.to_bytes`; raise if it is anything else."""
    if values["format"] != _FORMAT or values["format_version"] != _VERSION:
        raise ValueError(f"unknown format {values['format']!r} {values['format_version']!r}")
    origins = {
        video_id: Origin(root, check)
        for root, checks in values["roots"].items()
        for video_id, check in checks.items()
    }
    if not all(type(origin.check) is str for origin in origins.values()):
        raise TypeError("the checks must be text")
    return origins
