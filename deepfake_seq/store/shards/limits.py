"""How much goes into one shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.kinds import Kind

R = TypeVar("R", bound=Record)


class ShardLimits(NamedTuple):
    """The most that a sealed shard holds, if it is not a single record that is larger.

    Attributes:
        records: How many records.
        size_bytes: How many bytes of their large arrays.
    """

    records: int
    size_bytes: float

    @classmethod
    def of(cls, kind: Kind) -> ShardLimits:
        """Those of shards of a kind."""
        return cls(SHARD_RECORDS, kind.shard_bytes)

    def is_reached(self, records: int, size_bytes: float) -> bool:
        """Whether that much makes a full shard."""
        return records >= self.records or size_bytes >= self.size_bytes

    def is_sparse(self, records: int, size_bytes: float) -> bool:
        """Whether that much is no more than half of a full shard."""
        return records <= self.records // 2 and size_bytes <= self.size_bytes / 2

    def groups(self, records: Iterable[R]) -> Iterator[list[R]]:
        """Records in their order, as many at a time as a shard holds."""
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
