"""What is known of a record without its arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepfake_seq.store.records.metadata import ASSIGNED_FACTS, SourceFile


@dataclass(frozen=True)
class Entry:
    """What is known of a record without its arrays.

    Attributes:
        metadata: The fields of a record that are no arrays.
    """

    metadata: dict[str, Any]

    @property
    def status(self) -> str:
        """The record's status."""
        return str(self.metadata["status"])

    @property
    def transient(self) -> bool:
        """Whether it is a failure that says nothing about the video."""
        return bool(self.metadata["transient"])

    @property
    def revision(self) -> int:
        """How many records of the video there have been, this one counted."""
        return int(self.metadata["revision"])

    @property
    def assigned(self) -> tuple[int, tuple[str, ...], str, dict[str, Any]]:
        """What the data set tells: label, groups, part of the split, and `ASSIGNED_FACTS`."""
        values, facts = self.metadata, self.metadata["facts"]
        told = {name: facts[name] for name in ASSIGNED_FACTS if name in facts}
        return values["label"], values["groups"], values["split"], told

    @property
    def source(self) -> SourceFile:
        """The video file as it was when it was read."""
        source: SourceFile = self.metadata["source"]
        return source
