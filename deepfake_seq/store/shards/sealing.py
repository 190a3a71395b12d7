"""Choose the shards to pack into larger ones, and check that they can then be removed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shards.encode import IndexRow
from deepfake_seq.store.shards.index import Index
from deepfake_seq.store.shards.limits import ShardLimits


def is_sparse(index: Index, name: str, limits: ShardLimits) -> bool:
    """Return whether a shard has few current records for its size or for a full shard."""
    current = index.current(name)
    if not limits.is_sparse(len(current), 0):
        return False
    if math.isinf(limits.size_bytes):
        return True
    try:
        sizes = index.shards[name].shard.sizes
    except (FileNotFoundError, StoreError):
        return False  # removed in the meantime, or damaged
    size = sum(sizes[position] for position, _ in current)
    return limits.is_sparse(len(current), size) or len(current) <= len(sizes) // 2


def all_readable(index: Index, rows: Sequence[IndexRow], outside: Collection[str]) -> bool:
    """Return whether each record or a newer one can be read from a shard not in `outside`."""
    for row in rows:
        location = index.locations.get(row.video_id)
        if location is None or location.shard in outside or location.revision < row.revision:
            return False
        try:
            record = index.shards[location.shard].shard.read(location.position)
        except (FileNotFoundError, StoreError):
            return False
        if (record.video_id, record.revision) != (row.video_id, location.revision):
            return False
    return True
