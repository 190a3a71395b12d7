"""Note where the videos of a run were, once their records are in the store."""

from __future__ import annotations

import logging
import time

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.sources import Sources
from deepfake_seq.store import StoreWriter
from deepfake_seq.store.origins import Origin, Origins

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS = 30.0
_MAX_SHARE = 0.02
"""The notes are written at this interval; a longer one if writing would take a larger share."""


class OriginNotes:
    """Collects the origins of records, and writes those that the store lacks.

    The first one is written at once, the others from time to time. They are hints: if the process
    ends before they are written, or they cannot be written, only the next run knows less.

    Args:
        store: The store.
        sources: Where the videos are.
    """

    def __init__(self, store: StoreWriter, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._known = dict(Origins.read(store.path))
        self._new: dict[str, Origin] = {}
        self._due = 0.0
        self._has_failed = False

    def add(self, item: VideoItem, sha256: str) -> None:
        """Note the origin of a record.

        Args:
            item: The video.
            sha256: SHA-256 of the video file in the record, in hex.
        """
        origin = Origin.of(self._sources.root_of(item), sha256)
        if self._known.get(item.video_id) != origin:
            self._new[item.video_id] = origin
            if time.monotonic() >= self._due:
                self.write()

    def write(self) -> None:
        """Write the new origins."""
        if not self._new or self._has_failed:
            return
        begin = time.monotonic()
        try:
            self._store.update_origins(self._new)
        except StoreError as error:
            self._has_failed = True
            _LOG.warning("the folders of the videos were not noted: %s", error)
        self._known |= self._new
        self._new.clear()
        end = time.monotonic()
        self._due = end + max(_INTERVAL_SECONDS, (end - begin) / _MAX_SHARE)
