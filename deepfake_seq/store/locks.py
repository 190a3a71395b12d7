"""Locks between processes that share a store.

Locks are files, locked by the `filelock` library: with `flock`, which the system releases when the
process ends for any reason; on a disk without `flock`, by the existence of the file, which names
its process. HDF5's own locks are not used.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

FOLDER = ".locks"
WRITER_PREFIX = ".writer-"
_REMOVED_PREFIX = ".removed-"
_CLAIM_PREFIX = "video-"
_LOCK = "lock"
_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


class Lock:
    """A lock file that is removed when it is released.

    Args:
        path: Path of the file, in an existing folder.
        kind: Lock class of `filelock` to use.
    """

    def __init__(self, path: Path, kind: type[BaseFileLock]) -> None:
        self._path = path
        self._lock = kind(path, thread_local=False)

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock, waiting for it if `wait`; return whether it is held."""
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Release the lock and remove its file."""
        # Remove it while the lock is held: a process that opened it meanwhile then notices that the
        # file is gone, and creates a new one.
        with contextlib.suppress(OSError):  # a file that remains is removed by the next run
            self._path.unlink()
        self._lock.release()

    def release_keeping_file(self) -> None:
        """Release the lock without removing its file."""
        self._lock.release()


class Locks:
    """Locks of a store that is being written.

    Args:
        store: Existing, writable directory of the store.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._kind: type[BaseFileLock] = FileLock if _has_flock(store) else SoftFileLock
        (store / FOLDER).mkdir(exist_ok=True)

    def claim(self, video_id: str) -> Lock:
        """Return the lock that a process holds while it extracts or writes a video."""
        name = hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()[:20]
        return Lock(self._store / FOLDER / f"{_CLAIM_PREFIX}{name}", self._kind)

    def maintenance(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Hold the lock for creating, sealing, rewriting or repairing; yield whether it is held."""
        return self._held("maintenance", wait=wait)

    def origins(self) -> AbstractContextManager[bool]:
        """Wait for the lock for updating the origins of the records, and hold it."""
        return self._held("origins", wait=True)

    @contextlib.contextmanager
    def _held(self, name: str, *, wait: bool) -> Iterator[bool]:
        lock = Lock(self._store / FOLDER / name, self._kind)
        held = lock.acquire(wait=wait)
        try:
            yield held
        finally:
            if held:
                lock.release()

    def has_other_writers(self, folder: WriterFolder) -> bool:
        """Return whether a writer other than that of `folder` is alive."""
        self.remove_leftovers()
        return any(other != folder.path for other in _writer_folders(self._store))

    def writer_folder(self) -> WriterFolder:
        """Create a folder for the unfinished files of one writer."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=WRITER_PREFIX, dir=self._store))
            lock = Lock(path / _LOCK, self._kind)
            try:
                lock.acquire(wait=True)
                return WriterFolder(path, lock)
            except (FileNotFoundError, FileExistsError):
                # Another process took the folder, not yet locked, for that of a dead writer and
                # removed it. If that happens while filelock creates the lock's folder, mkdir
                # reports that the folder exists and is_dir that it does not.
                continue

    def remove_leftovers(self) -> list[str]:
        """Remove the folders and claims of dead writers; return the names of the folders."""
        for path in (self._store / FOLDER).glob(f"{_CLAIM_PREFIX}*"):
            claim = Lock(path, self._kind)
            if claim.acquire(wait=False):
                claim.release()
        for path in self._store.glob(f"{_REMOVED_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)
        return [
            folder.name for folder in _writer_folders(self._store) if self._remove_if_dead(folder)
        ]

    def _remove_if_dead(self, folder: Path) -> bool:
        """Remove a folder if its writer is dead; return whether it was removed."""
        lock = Lock(folder / _LOCK, self._kind)
        try:
            if not lock.acquire(wait=False):
                return False
        except OSError:
            return False  # removed by another process
        try:
            # Rename it first, so that no other process finds it half removed.
            renamed = folder.with_name(folder.name.replace(WRITER_PREFIX, _REMOVED_PREFIX, 1))
            folder.rename(renamed)
            shutil.rmtree(renamed, ignore_errors=True)
        except OSError:
            return False
        finally:
            lock.release_keeping_file()
        return True


class WriterFolder:
    """A folder `.writer-…` in a store with the unfinished files of one writer.

    The lock in it shows whether its writer is alive.

    Attributes:
        path: Path of the folder.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    def close(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release_keeping_file()


def dead_writers(store: Path) -> list[str]:
    """Return the names of the folders of dead writers; change nothing."""
    return [folder.name for folder in _writer_folders(store) if _is_dead(folder)]


def _is_dead(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # locked, or unknown
    return True


def _writer_folders(store: Path) -> list[Path]:
    folders = sorted(store.glob(f"{WRITER_PREFIX}*"))
    return [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]


def _has_flock(folder: Path) -> bool:
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return False
            raise
    return True
