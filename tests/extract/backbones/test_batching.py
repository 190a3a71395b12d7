"""Crops of several owners in one batch, and the features of each owner."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.extract.backbones.batching import Batch, Batcher, finish

COUNTS = st.lists(st.integers(1, 9), max_size=12)


def crops(owner: int, count: int) -> np.ndarray:
    """Crops with their owner and number as pixel values."""
    pairs = [[[[owner, number, 0]]] for number in range(count)]
    return np.array(pairs, dtype=np.uint8)


@given(COUNTS, st.integers(1, 8), st.lists(st.booleans(), max_size=30))
def test_owners_get_the_features_of_their_crops_in_order(
    counts: list[int], size: int, comes: list[bool]
) -> None:
    batcher: Batcher[int] = Batcher(size)
    queue = list(enumerate(counts))
    done: dict[int, np.ndarray] = {}
    order: list[int] = []
    while queue or batcher.waiting:
        if queue and (comes.pop() if comes else True):
            owner, count = queue.pop(0)
            batcher.add(owner, crops(owner, count))
        if batch := batcher.take(partial=not queue):
            features = batch.crops_rgb[:, 0, 0].astype(np.float32)
            for owner, rows in finish(batch, features):
                order.append(owner)
                done[owner] = rows
    assert order == list(range(len(counts)))
    for owner, count in enumerate(counts):
        assert done[owner][:, :2].tolist() == [[owner, number] for number in range(count)]


@given(COUNTS, st.integers(1, 8))
def test_all_batches_but_the_last_are_full(counts: list[int], size: int) -> None:
    batcher: Batcher[int] = Batcher(size)
    for owner, count in enumerate(counts):
        batcher.add(owner, crops(owner, count))
    batches: list[Batch[int]] = []
    while batch := batcher.take(partial=True):
        batches.append(batch)
    lengths = [len(batch.crops_rgb) for batch in batches]
    assert sum(lengths) == sum(counts)
    assert all(length == size for length in lengths[:-1])


def test_a_partial_batch_is_only_returned_on_request() -> None:
    batcher: Batcher[str] = Batcher(4)
    assert batcher.take(partial=True) is None
    batcher.add("a", crops(0, 3))
    assert batcher.take(partial=False) is None
    batcher.add("b", crops(1, 3))
    batch = batcher.take(partial=False)
    assert batch is not None and len(batch.crops_rgb) == 4
    assert batcher.waiting == 2


def test_a_batch_of_one_owner_is_not_copied() -> None:
    batcher: Batcher[str] = Batcher(4)
    added = crops(0, 4)
    batcher.add("a", added)
    batch = batcher.take(partial=False)
    assert batch is not None and np.shares_memory(batch.crops_rgb, added)
