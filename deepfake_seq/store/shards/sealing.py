"""Which shards are packed into larger ones, and which of them may go then."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shards.encode import IndexRow
from deepfake_seq.store.shards.index import Index
from deepfake_seq.store.shards.limits import ShardLimits


def is_sparse(index: Index, name: str, limits: ShardLimits) -> bool:
    """Whether little stands in a shard: beside what it could hold, or beside what it holds."""
    live = index.live(name)
    if not limits.is_sparse(len(live), 0):
        return False
    if math.isinf(limits.size_bytes):
        return True
    try:
        sizes = index.shards[name].shard.sizes
    except (FileNotFoundError, StoreError):
        return False  # gone meanwhile, or damaged
    size = sum(sizes[position] for position, _ in live)
    return limits.is_sparse(len(live), size) or len(live) <= len(sizes) // 2


def all_readable(index: Index, rows: Sequence[IndexRow], elsewhere: Collection[str]) -> bool:
    """Whether each record, or a newer one, can be read outside the shards `elsewhere`."""
    for row in rows:
        place = index.locations.get(row.video_id)
        if place is None or place.shard in elsewhere or place.revision < row.revision:
            return False
        try:
            record = index.shards[place.shard].shard.read(place.position)
        except (FileNotFoundError, StoreError):
            return False
        if (record.video_id, record.revision) != (row.video_id, place.revision):
            return False
    return True
