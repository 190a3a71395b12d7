"""Limits on the size of a shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.kinds import Kind

R = TypeVar("R", bound=Record)


class ShardLimits(NamedTuple):
    """Maximum content of a sealed shard; a single record may exceed `size_bytes`.

    Attributes:
        records: Maximum number of records.
        size_bytes: Maximum total size of their large arrays in bytes.
    """

    records: int
    size_bytes: float

    @classmethod
    def of(cls, kind: Kind) -> ShardLimits:
        """Return the default limits of a kind."""
        return cls(SHARD_RECORDS, kind.shard_bytes)

    def is_reached(self, records: int, size_bytes: float) -> bool:
        """Return whether this many records or bytes fill a shard."""
        return records >= self.records or size_bytes >= self.size_bytes

    def is_sparse(self, records: int, size_bytes: float) -> bool:
        """Return whether this many records and bytes fill at most half a shard."""
        return records <= self.records // 2 and size_bytes <= self.size_bytes / 2

    def groups(self, records: Iterable[R]) -> Iterator[list[R]]:
        """Yield consecutive records in lists that fit into one shard each."""
        group: list[R] = []
        total = 0
        for record in records:
            size = record.size_bytes
            if group and (len(group) == self.records or total + size > self.size_bytes):
                yield group
                group, total = [], 0
            group.append(record)
            total += size
        if group:
            yield group
