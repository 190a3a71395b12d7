"""Evidence blocks, concatenated to the features of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from records import make_record

from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures, CollectedFeatures, columns_of

FRAMES = 4
WIDTHS = {"features": 5, "depths": 3, "regions": 2}
GENERATOR = np.random.default_rng(0)


def record(number: int, *names: str) -> Any:
    """Return a record with these blocks."""
    return make_record(
        f"{number}.mp4",
        seed=number,
        frames=FRAMES,
        valid=FRAMES,
        width=WIDTHS["features"],
        evidence={name: WIDTHS[name] for name in names if name != "features"},
    )


class Store:
    """A store of records in memory."""

    path = "store"

    def __init__(self, records: list[Any]) -> None:
        self._records = {each.video_id: each for each in records}

    def records(self, video_ids: list[str]) -> Any:
        return (self._records[video_id] for video_id in video_ids)


def collect(records: list[Any], memory: int, *evidence: str) -> Any:
    store: Any = Store(records)
    collected = CollectedFeatures(store, len(records), memory, evidence)
    for each in records:
        collected.add(each)
    return collected.features()


@pytest.fixture(params=[1 << 20, 0], ids=["in memory", "from the store"])
def memory(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_the_blocks_are_concatenated_in_order(memory: int) -> None:
    records = [record(number, *WIDTHS) for number in range(3)]
    features = collect(records, memory)
    assert dict(features.blocks) == WIDTHS and features.shape == (3, FRAMES, 10)
    values, mask = features.read(np.array([2, 0]))
    for row, number in enumerate((2, 0)):
        assert np.array_equal(values[row], np.hstack(list(records[number].blocks.values())))
    assert mask.all()


def test_by_default_the_blocks_that_every_record_has_are_used(memory: int) -> None:
    records = [
        record(0, "features", "depths", "regions"),
        record(1, "features", "regions"),
        record(2, "features", "depths", "regions"),
    ]
    features = collect(records, memory)
    assert dict(features.blocks) == {"features": 5, "regions": 2}
    values, _ = features.read(np.arange(3))
    for row, each in zip(values, records, strict=True):
        assert np.array_equal(row, np.hstack([each.blocks["features"], each.blocks["regions"]]))


def test_requested_blocks_are_used_in_the_requested_order(memory: int) -> None:
    records = [record(number, *WIDTHS) for number in range(2)]
    features = collect(records, memory, "regions", "features")
    assert dict(features.blocks) == {"regions": 2, "features": 5}
    values, _ = features.read(np.array([1]))
    blocks = records[1].blocks
    assert np.array_equal(values[0], np.hstack([blocks["regions"], blocks["features"]]))


def test_a_clip_without_a_requested_block_is_an_error_that_names_it(memory: int) -> None:
    records = [record(0, *WIDTHS), record(1, "features")]
    with pytest.raises(DatasetError, match=r"1\.mp4 in store lacks .* Received: features,depths"):
        collect(records, memory, "features", "depths")


def data() -> SequenceData:
    values = GENERATOR.normal(size=(6, FRAMES, 10)).astype(np.float16)
    features = ArrayFeatures(values, np.ones((6, FRAMES), dtype=bool), WIDTHS)
    clips = tuple(Clip(str(number), number % 2) for number in range(6))
    return SequenceData(clips, features, np.arange(6))


def test_some_blocks_of_the_clips_have_the_same_values() -> None:
    whole = data()
    some = whole.with_blocks(("depths", "features"))
    assert dict(some.features.blocks) == {"depths": 3, "features": 5}
    columns = columns_of(WIDTHS, ("depths", "features"))
    assert columns.tolist() == [5, 6, 7, 0, 1, 2, 3, 4]
    for arrays, all_arrays in zip(some.batches(2), whole.batches(2), strict=True):
        assert np.array_equal(arrays[0], all_arrays[0][..., columns])
    epochs = [each.epoch(4, np.random.default_rng(3)) for each in (some, whole)]
    for (arrays, positions), (all_arrays, same) in zip(*epochs, strict=True):
        assert np.array_equal(arrays[0], all_arrays[0][..., columns])
        assert np.array_equal(positions, same)


def test_a_block_with_other_settings_is_refused(memory: int) -> None:
    other = record(1, *WIDTHS)
    other.facts["evidence"]["depths"] = {"layer": "another"}
    with pytest.raises(DatasetError, match=r"depths of 1\.mp4 was extracted with other settings"):
        collect([record(0, *WIDTHS), other], memory)
