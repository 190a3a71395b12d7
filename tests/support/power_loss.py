"""Simulate what a disk may contain after a power failure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class File:
    """Content written to a file, and the number of bytes that are certainly on the disk."""

    data: bytes = b""
    synced: int = 0


@dataclass
class PowerLoss:
    """Possible states of a disk after a power failure, according to POSIX.

    The content of a file is safe after an fsync of the file; a file name is safe after an fsync of
    its folder. Any other change may be lost independently.

    Attributes:
        folder: Folder whose files are tracked.
        files: Files that were written, by path.
        safe: Files by name that certainly survive; None for a removed name.
        unsafe: Changes of names since the last fsync of the folder.
    """

    folder: Path
    files: dict[str, File] = field(default_factory=dict)
    safe: dict[str, File | None] = field(default_factory=dict)
    unsafe: list[tuple[str, File | None]] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> PowerLoss:
        """Return a disk on which the files of a folder are safe."""
        data = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        safe = {name: File(content, len(content)) for name, content in data.items()}
        return cls(folder, safe=dict(safe))

    def apply(self, step: str, *arguments: Any) -> None:
        """Apply one step."""
        if step in ("write", "fsync"):
            path = str(Path(f"/proc/self/fd/{arguments[0]}").readlink())
            file = self.files.setdefault(path, File())
            if step == "write":
                file.data += bytes(arguments[1])
            elif path == str(self.folder):
                self.safe.update(self.unsafe)
                self.unsafe.clear()
            else:
                file.synced = len(file.data)
        elif step == "replace":
            self.unsafe.append((Path(arguments[1]).name, self.files[str(arguments[0])]))
        elif step == "unlink" and Path(arguments[0]).parent == self.folder:
            self.unsafe.append((Path(arguments[0]).name, None))

    def write_state(self, target: Path, generator: random.Random) -> None:
        """Write one of the possible states of the folder to `target`."""
        chance = generator.random()
        happened = [change for change in self.unsafe if generator.random() < chance]
        target.mkdir(parents=True)
        for name, file in {**self.safe, **dict(happened)}.items():
            if file is not None:
                size = generator.choice(
                    [file.synced, generator.randint(file.synced, len(file.data))]
                )
                (target / name).write_bytes(file.data[:size])
