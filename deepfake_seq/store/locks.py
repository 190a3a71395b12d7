"""Who may do what where several processes share a store.

The locks are files, taken by the `filelock` library: with `flock`, which the system releases when
the process ends, however it ends; on a disk without it, by the file's existence and the process
that it names. HDF5's own locks play no part.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

FOLDER = ".locks"
WRITER_PREFIX = ".writer-"
_REMOVED_PREFIX = ".removed-"
_CLAIM_PREFIX = "video-"
_LOCK = "lock"
_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


class Lock:
    """One lock file, gone once it is released.

    Args:
        path: The file; its folder is there.
        kind: How it is locked.
    """

    def __init__(self, path: Path, kind: type[BaseFileLock]) -> None:
        self._path = path
        self._lock = kind(path, thread_local=False)

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock, waiting for whoever holds it if asked to; whether it is held now."""
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
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

    def leave(self) -> None:
        """Give the lock back and let its file be."""
        self._lock.release()


class Locks:
    """The locks of one store that is written to.

    Args:
        store: Its directory, which is there and can be written.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._kind: type[BaseFileLock] = FileLock if _has_flock(store) else SoftFileLock
        (store / FOLDER).mkdir(exist_ok=True)

    def claim(self, video_id: str) -> Lock:
        """The lock of whoever extracts or writes a video."""
        name = hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()[:20]
        return Lock(self._store / FOLDER / f"{_CLAIM_PREFIX}{name}", self._kind)

    @contextlib.contextmanager
    def maintenance(self, *, wait: bool) -> Iterator[bool]:
        """Be the only one to found, seal or repair the store; gives whether that is so."""
        lock = Lock(self._store / FOLDER / "maintenance", self._kind)
        held = lock.acquire(wait=wait)
        try:
            yield held
        finally:
            if held:
                lock.release()

    def writer_folder(self) -> WriterFolder:
        """A new folder for one writer."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=WRITER_PREFIX, dir=self._store))
            lock = Lock(path / _LOCK, self._kind)
            try:
                lock.acquire(wait=True)
                return WriterFolder(path, lock)
            except (FileNotFoundError, FileExistsError):
                # Taken for a dead writer's before it was locked. Where it goes while the lock makes
                # sure of its folder, mkdir says that it exists and is_dir that it does not.
                continue

    def remove_leftovers(self) -> list[str]:
        """Remove the folders of dead writers, and their claims; gives the folders' names."""
        for path in (self._store / FOLDER).glob(f"{_CLAIM_PREFIX}*"):
            claim = Lock(path, self._kind)
            if claim.acquire(wait=False):
                claim.release()
        for path in self._store.glob(f"{_REMOVED_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)
        return [folder.name for folder in _writer_folders(self._store) if self._removed(folder)]

    def _removed(self, folder: Path) -> bool:
        """Whether a folder's writer was dead; it is gone then."""
        lock = Lock(folder / _LOCK, self._kind)
        try:
            if not lock.acquire(wait=False):
                return False
        except OSError:
            return False  # removed by another process
        try:
            # Under a name that nobody looks for, so that nobody meets it half removed.
            grave = folder.with_name(folder.name.replace(WRITER_PREFIX, _REMOVED_PREFIX, 1))
            folder.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)
        except OSError:
            return False
        finally:
            lock.leave()
        return True


class WriterFolder:
    """A folder `.writer-…` in a store for the files that one writer has not finished.

    The lock in it tells whether its writer is alive.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.leave()


def dead_writers(store: Path) -> list[str]:
    """The names of the folders whose writer is gone; changes nothing."""
    return [folder.name for folder in _writer_folders(store) if _is_dead(folder)]


def _is_dead(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # it is held; or nobody can say
    return True


def _writer_folders(store: Path) -> list[Path]:
    found = sorted(store.glob(f"{WRITER_PREFIX}*"))
    return [folder for folder in found if folder.is_dir() and not folder.is_symlink()]


def _has_flock(folder: Path) -> bool:
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return False
            raise
    return True
