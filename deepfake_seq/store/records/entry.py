"""A record without its arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepfake_seq.store.records.metadata import ASSIGNED_FACTS, SourceFile


@dataclass(frozen=True)
class Entry:
    """A record without its arrays.

    Attributes:
        metadata: Fields of the record that are not arrays, by name.
    """

    metadata: dict[str, Any]

    @property
    def status(self) -> str:
        """Status of the record, a key of `STATUSES`."""
        return str(self.metadata["status"])

    @property
    def transient(self) -> bool:
        """Whether the record is a failure that was not caused by the video."""
        return bool(self.metadata["transient"])

    @property
    def revision(self) -> int:
        """Number of records of the video so far, including this one."""
        return int(self.metadata["revision"])

    @property
    def assigned(self) -> tuple[int, tuple[str, ...], str, dict[str, Any]]:
        """Values assigned by the data set: label, groups, split, and the `ASSIGNED_FACTS`."""
        values, facts = self.metadata, self.metadata["facts"]
        assigned_facts = {name: facts[name] for name in ASSIGNED_FACTS if name in facts}
        return values["label"], values["groups"], values["split"], assigned_facts

    @property
    def source(self) -> SourceFile:
        """Size, time and checksum of the video file when it was read."""
        source: SourceFile = self.metadata["source"]
        return source
