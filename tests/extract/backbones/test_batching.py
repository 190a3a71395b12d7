"""Faces of several owners in one batch, and the rows of each owner."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.extract.backbones.batching import Batch, Batcher, finish

COUNTS = st.lists(st.integers(1, 9), max_size=12)


def faces(owner: int, count: int) -> dict[str, np.ndarray]:
    """Inputs of two kinds: the owners of the faces, and their numbers."""
    return {"owners": np.full((count, 1, 2), owner), "numbers": np.arange(count)}


@given(COUNTS, st.integers(1, 8), st.data())
def test_owners_get_the_rows_of_their_faces_in_order_whichever_batch_is_finished_first(
    counts: list[int], size: int, data: st.DataObject
) -> None:
    batcher: Batcher[int] = Batcher(size)
    queue = list(enumerate(counts))
    under_way: list[Batch[int]] = []
    done: dict[int, np.ndarray] = {}
    while queue or batcher.waiting or under_way:
        if queue and data.draw(st.booleans()):
            owner, count = queue.pop(0)
            batcher.add(owner, faces(owner, count))
        if batch := batcher.take(partial=not queue):
            under_way.append(batch)
        if under_way and data.draw(st.booleans()):
            finished = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            inputs = finished.inputs
            computed = np.stack([inputs["owners"][:, 0, 1], inputs["numbers"]], axis=1)
            for owner, rows in finish(finished, computed.astype(np.float32)):
                assert owner not in done
                done[owner] = rows
    assert sorted(done) == list(range(len(counts)))
    for owner, count in enumerate(counts):
        assert done[owner].tolist() == [[owner, number] for number in range(count)]


@given(COUNTS, st.integers(1, 8))
def test_all_batches_but_the_last_are_full(counts: list[int], size: int) -> None:
    batcher: Batcher[int] = Batcher(size)
    for owner, count in enumerate(counts):
        batcher.add(owner, faces(owner, count))
    batches: list[Batch[int]] = []
    while batch := batcher.take(partial=True):
        batches.append(batch)
    lengths = [len(batch) for batch in batches]
    assert sum(lengths) == sum(counts)
    assert all(length == size for length in lengths[:-1])


def test_a_partial_batch_is_only_returned_on_request() -> None:
    batcher: Batcher[str] = Batcher(4)
    assert batcher.take(partial=True) is None
    batcher.add("a", faces(0, 3))
    assert batcher.take(partial=False) is None
    batcher.add("b", faces(1, 3))
    batch = batcher.take(partial=False)
    assert batch is not None and len(batch) == len(batch.inputs["numbers"]) == 4
    assert batcher.waiting == 2


def test_a_batch_of_one_owner_is_not_copied() -> None:
    batcher: Batcher[str] = Batcher(4)
    added = faces(0, 4)
    batcher.add("a", added)
    batch = batcher.take(partial=False)
    assert batch is not None and np.shares_memory(batch.inputs["owners"], added["owners"])
