"""Limits on the size of a shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.store.records.record import Layout, Record
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
        """Yield records of the same layout in lists that fit into one shard each, in their order.

        Only one list for each layout is in memory.
        """
        groups: dict[Layout, list[R]] = {}
        totals: Counter[Layout] = Counter()
        for record in records:
            layout, size = record.layout, record.size_bytes
            group = groups.setdefault(layout, [])
            if group and (len(group) == self.records or totals[layout] + size > self.size_bytes):
                yield group
                group = groups[layout] = []
                totals[layout] = 0
            group.append(record)
            totals[layout] += size
        yield from groups.values()
