"""Note where the videos of a run were, once their records are in the store."""

from __future__ import annotations

import logging

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.sources import Sources
from deepfake_seq.store import StoreWriter
from deepfake_seq.store.origins import Origin, Origins

_LOG = logging.getLogger(__name__)
_MIN_NOTES = 256
_MIN_FRACTION = 0.1
"""The file is written again after this many new notes, or this fraction of those in it."""


class OriginNotes:
    """Collects the origins of records, and writes those that the store lacks.

    They are hints: if the process ends before they are written, or they cannot be written, only the
    next run knows less.

    Args:
        store: The store.
        sources: Where the videos are.
    """

    def __init__(self, store: StoreWriter, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._known = dict(Origins.read(store.path))
        self._new: dict[str, Origin] = {}

    def add(self, item: VideoItem, sha256: str) -> None:
        """Note the origin of a record.

        Args:
            item: The video.
            sha256: SHA-256 of the video file in the record, in hex.
        """
        origin = Origin.of(self._sources.root_of(item), sha256)
        if self._known.get(item.video_id) != origin:
            self._new[item.video_id] = origin
            if len(self._new) >= max(_MIN_NOTES, _MIN_FRACTION * len(self._known)):
                self.write()

    def write(self) -> None:
        """Write the new origins."""
        if not self._new:
            return
        try:
            self._store.add_origins(self._new)
        except StoreError as error:
            _LOG.warning("the folders of %d videos were not noted: %s", len(self._new), error)
        self._known |= self._new
        self._new.clear()
