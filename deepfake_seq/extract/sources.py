"""Where videos are and what they contain: files, or the faces in a cache."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Protocol

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import StoreError, VideoError
from deepfake_seq.extract.video.decode import identify
from deepfake_seq.store import FaceStore, SourceFile
from deepfake_seq.store.record_ids import record_id
from deepfake_seq.store.shards.description import FILE_NAME


class Sources(Protocol):
    """Looks up the video files that records are made from."""

    def root_of(self, item: VideoItem) -> str:
        """Return the absolute path of what the `video_id` of an item is relative to."""

    def current(self, item: VideoItem, recorded: SourceFile) -> SourceFile | None:
        """Return a video's file as it is now if its content is the recorded one, else None."""

    def size_of(self, item: VideoItem) -> int | None:
        """Return the size of a video's file in bytes; None if it cannot be read."""

    def sha256_of(self, item: VideoItem) -> str:
        """Return the SHA-256 of a video's file in hex; "" if it cannot be read."""


class FileSources:
    """See `Sources`: files on the disk."""

    def __init__(self) -> None:
        self._resolved: dict[Path, str] = {}
        self._read: dict[tuple[Path, int, int], SourceFile] = {}

    def root_of(self, item: VideoItem) -> str:
        """See `Sources`; links are resolved, so that a folder has one name."""
        root = item.root
        if root not in self._resolved:
            self._resolved[root] = str(root.resolve())
        return self._resolved[root]

    def current(self, item: VideoItem, recorded: SourceFile) -> SourceFile | None:
        """See `Sources`; a file that is missing or cannot be read counts as unchanged."""
        try:
            now = item.path.stat()
            if now.st_size != recorded.size_bytes:
                return None
            if now.st_mtime_ns == recorded.mtime_ns:
                return recorded
            source = self._identify(item.path, now)
            return source if source.sha256 == recorded.sha256 else None
        except VideoError:
            return None  # not a regular file any more
        except OSError:
            return recorded

    def size_of(self, item: VideoItem) -> int | None:
        """See `Sources`."""
        try:
            return item.path.stat().st_size
        except OSError:
            return None

    def sha256_of(self, item: VideoItem) -> str:
        """See `Sources`."""
        try:
            return self._identify(item.path, item.path.stat()).sha256
        except (OSError, VideoError):
            return ""

    def _identify(self, path: Path, now: os.stat_result) -> SourceFile:
        """Read a file, unless this version of it has been read before."""
        key = path, now.st_size, now.st_mtime_ns
        if key not in self._read:
            self._read[key] = identify(path)
        return self._read[key]


class CachedSources:
    """See `Sources`: the files that the faces in a cache were made from.

    Args:
        store: The face cache.
        all_people: Whether each person of a video has a record.
    """

    def __init__(self, store: FaceStore, all_people: bool) -> None:
        self._store = store
        self._root = str(store.path.resolve())
        self._person = 0 if all_people else None

    def root_of(self, item: VideoItem) -> str:
        """See `Sources`: the face cache."""
        return self._root

    def current(self, item: VideoItem, recorded: SourceFile) -> SourceFile | None:
        """See `Sources`; a video that is not in the cache counts as unchanged."""
        source = self._source(item)
        if source is None:
            return recorded
        return source if source.sha256 == recorded.sha256 else None

    def size_of(self, item: VideoItem) -> int | None:
        """See `Sources`."""
        source = self._source(item)
        return source.size_bytes if source else None

    def sha256_of(self, item: VideoItem) -> str:
        """See `Sources`."""
        source = self._source(item)
        return source.sha256 if source else ""

    def _source(self, item: VideoItem) -> SourceFile | None:
        entry = self._store.entry(record_id(item.video_id, self._person))
        return entry.source if entry else None


class Places:
    """Looks up whether videos are still where they were: in a folder or in a face cache.

    Args:
        all_people: Whether each person of a video has a record.
    """

    def __init__(self, all_people: bool) -> None:
        self._person = 0 if all_people else None
        self.exists = cache(_exists)
        self._cache_at = cache(_face_cache_at)

    def is_cache(self, root: str) -> bool:
        """Return whether a root is a face cache, not a folder of videos."""
        return Path(root, FILE_NAME).is_file()

    def is_gone(self, root: str, video_id: str) -> bool:
        """Return whether a video is gone, although the folder or cache that it was in exists."""
        try:
            faces = self._cache_at(root)
        except StoreError:
            return False
        if faces is not None:
            return record_id(video_id, self._person) not in faces
        return self.exists(root) and not _exists(Path(root, video_id))

    def empty_folder(self, root: str, video_id: str) -> str | None:
        """Return the folder of a video that is gone if it is missing or empty, else None.

        It may then be the mount point of a disk that is not mounted.
        """
        if self.is_cache(root):
            return None
        for folder in Path(root, video_id).parents:
            if self.exists(str(folder)):
                return str(folder) if self._is_empty(str(folder)) else None
            if str(folder) == root:
                return root
        return None

    def _is_empty(self, folder: str) -> bool:
        try:
            with os.scandir(folder) as entries:
                return next(entries, None) is None
        except OSError:
            return True  # what it contains is unknown


def _exists(path: Path | str) -> bool:
    """Return whether there is a file; also if that cannot be found out."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _face_cache_at(root: str) -> FaceStore | None:
    """Return the face cache at a path; None if it is another folder, or missing."""
    return FaceStore.open(root) if Path(root, FILE_NAME).is_file() else None
