"""Who may do what where several processes share a store.

The locks are files in the store's `.locks/`, taken by the `filelock` library: with `flock`, which
the system releases when the process ends, however it ends; on a disk without it, by the file's
existence and the process that it names. HDF5's own locks play no part.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

FOLDER = ".locks"
WRITER_PREFIX = ".writer-"
_CLAIM_PREFIX = "video-"
_LOCK = "lock"
_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


class Lock:
    """One lock file, gone once it is released.

    Args:
        path: The file; its folder is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: BaseFileLock = FileLock(path, thread_local=False, fallback_to_soft=False)

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock, waiting for whoever holds it if asked to; whether it is held now."""
        timeout = -1 if wait else 0
        try:
            try:
                self._lock.acquire(timeout=timeout)
            except OSError as error:
                if error.errno not in _NO_FLOCK:
                    raise
                self._lock = SoftFileLock(self._path, thread_local=False)
                self._lock.acquire(timeout=timeout)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        # Removed while it is held: whoever opened it meanwhile sees that it is gone and makes
        # another.
        with contextlib.suppress(OSError):  # if it stays, the next run clears it away
            self._path.unlink()
        self._lock.release()


def claim_of(store: Path, video_id: str) -> Lock:
    """The lock of whoever extracts or writes a video."""
    name = hashlib.sha256(video_id.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    return Lock(store / FOLDER / f"{_CLAIM_PREFIX}{name}")


def maintenance_of(store: Path) -> Lock:
    """The lock of whoever seals, repairs or founds the store."""
    return Lock(store / FOLDER / "maintenance")


class WriterFolder:
    """A folder `.writer-…` in a store for the files that one writer has not finished.

    The lock in it tells whether its writer is alive.

    Attributes:
        path: The folder.
    """

    def __init__(self, store: Path) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=WRITER_PREFIX, dir=store))
            self._lock = Lock(self.path / _LOCK)
            try:
                self._lock.acquire(wait=True)
                return
            except FileNotFoundError:
                continue  # taken for a dead writer's before it was locked

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def dead_writers(store: Path) -> list[Path]:
    """The folders that writers left whose process is gone; changes nothing."""
    return [folder for folder in sorted(store.glob(f"{WRITER_PREFIX}*")) if _if_dead(folder)]


def remove_leftovers(store: Path) -> list[Path]:
    """Remove the folders of dead writers, and their claims; gives the folders."""
    for path in (store / FOLDER).glob(f"{_CLAIM_PREFIX}*"):
        claim = Lock(path)
        if claim.acquire(wait=False):
            claim.release()
    folders = sorted(store.glob(f"{WRITER_PREFIX}*"))
    return [folder for folder in folders if _if_dead(folder, shutil.rmtree)]


def _if_dead(folder: Path, action: Callable[[Path], object] = lambda folder: None) -> bool:
    """Whether a folder's writer is gone; if so, after `action` on it while nobody else has it."""
    lock = Lock(folder / _LOCK)
    try:
        dead = lock.acquire(wait=False)
    except OSError:
        return False  # removed by another process, or on a disk that cannot be written
    if dead:
        action(folder)
        lock.release()
    return dead
