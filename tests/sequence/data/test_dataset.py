from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import make_record, make_store, write_store

from deepfake_seq.errors import DatasetError, StoreError
from deepfake_seq.sequence.data.dataset import SequenceData, load
from deepfake_seq.sequence.data.features import ArrayFeatures, StoreFeatures
from deepfake_seq.store import FeatureStore


def test_unlabelled_and_short_clips_are_excluded_and_counted(
    tmp_path: Path,
) -> None:
    records = [
        make_record("good.mp4", label=1, groups=("ann",)),
        make_record("unlabelled.mp4", label=-1),
        make_record("short.mp4", valid=7),
        make_record("faceless.mp4", valid=0),
    ]
    data = load(write_store(tmp_path / "s", records))
    assert [clip.video_id for clip in data.clips] == ["good.mp4"]
    assert data.groups == [("ann",)]
    assert data.counts == {"real": 0, "fake": 1}
    assert data.excluded.total() == 3
    assert data.excluded["failed (no_face)"] == 1


def test_a_store_without_usable_clips_is_refused_with_reasons(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", [make_record("unlabelled.mp4", label=-1)])
    with pytest.raises(DatasetError, match="1 without a label"):
        load(store)


def test_one_file_with_opposite_labels_is_refused_and_both_names_are_given(
    tmp_path: Path,
) -> None:
    source = make_record("x.mp4").source
    records = [
        make_record("real/a.mp4#0", label=0, source=source),
        make_record("real/a.mp4#1", label=0, source=source),
        make_record("copy/a.mp4#0", label=0, source=source),
        make_record("fake/a.mp4#0", label=1, source=source),
        make_record("other.mp4#0", label=1),
    ]
    with pytest.raises(DatasetError, match="1 videos have opposite labels") as caught:
        load(write_store(tmp_path / "s", records))
    assert "copy/a.mp4 (real) is the same file as fake/a.mp4 (fake)" in str(caught.value)
    assert len(load(write_store(tmp_path / "t", [*records[:3], records[4]]))) == 4
    unknown = replace(records[3], label=-1)
    assert len(load(write_store(tmp_path / "u", [*records[:3], unknown]))) == 3


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s")
    with pytest.raises(DatasetError, match="it is empty"):
        load(store)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    path = tmp_path_factory.mktemp("stores") / "s"
    records = (
        make_record(f"{number * 37 % 100:02}.mp4", seed=number, label=int(number % 4 == 0))
        for number in range(100)
    )
    return write_store(path, records)


@pytest.fixture(params=["in memory", "from the store"])
def data(request: pytest.FixtureRequest, store: FeatureStore) -> SequenceData:
    return load(store, memory_bytes=1 << 20 if request.param == "in memory" else 0)


def test_features_too_large_for_memory_are_streamed(store: FeatureStore) -> None:
    assert isinstance(load(store).features, ArrayFeatures)
    assert isinstance(load(store, memory_bytes=0).features, StoreFeatures)


def test_clips_are_sorted_by_id_and_keep_their_features(
    data: SequenceData, store: FeatureStore
) -> None:
    ids = [clip.video_id for clip in data.clips]
    assert ids == sorted(ids) and len(ids) == 100
    features = np.concatenate([features for features, _ in data.batches(7)])
    for number, clip in enumerate(data.clips):
        assert np.array_equal(features[number], store[clip.video_id].features)
        assert clip.label == store[clip.video_id].label


def run_epoch(data: SequenceData, seed: int, **options: bool) -> tuple[list[float], list[int]]:
    """Return the first feature and the label of each clip, in the order of an epoch."""
    values, labels = [], []
    for (features, _), positions in data.epoch(8, np.random.default_rng(seed), **options):
        assert len(features) == len(positions) <= 8
        values += features[:, 0, 0].tolist()
        labels += data.labels[positions].tolist()
    return values, labels


def test_an_epoch_yields_every_clip_once_in_a_seeded_order(
    data: SequenceData,
) -> None:
    values, labels = run_epoch(data, 1)
    all_values = np.concatenate([features for features, _ in data.batches()])[:, 0, 0].tolist()
    assert sorted(values) == sorted(all_values) and values != all_values
    assert sum(labels) == data.counts["fake"]
    assert run_epoch(data, 1)[0] == values
    assert run_epoch(data, 2)[0] != values


def test_balanced_batches_have_equally_many_clips_of_each_class(data: SequenceData) -> None:
    values, labels = run_epoch(data, 1, balanced=True)
    assert sum(labels) == len(labels) / 2
    for start in range(0, len(labels), 8):
        batch = labels[start : start + 8]
        assert sum(batch) == len(batch) / 2
    all_values = np.concatenate([features for features, _ in data.batches()])[:, 0, 0].tolist()
    assert set(values) == set(all_values)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9000), st.integers(0, 10))
def test_streamed_rows_come_once_each_in_chunks_that_fit_into_memory(count: int, seed: int) -> None:
    features = StoreFeatures.__new__(StoreFeatures)
    rows = np.random.default_rng(seed).permutation(count)
    chunks = list(features.chunks(rows, np.random.default_rng(seed)))
    assert max(map(len, chunks)) <= 4096
    assert sorted(np.concatenate(chunks).tolist()) == list(range(count))


def test_a_streamed_batch_mixes_distant_clips() -> None:
    # Clips of one class are often in one folder, and therefore adjacent on disk.
    features = StoreFeatures.__new__(StoreFeatures)
    rows = np.arange(20_000)
    chunk = next(features.chunks(rows, np.random.default_rng(0)))
    spread = [np.ptp(chunk[start : start + 32]) for start in range(0, 4096, 32)]
    assert np.median(spread) > 15_000


def test_a_damaged_record_stops_streaming_with_its_name(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=8, people=8)
    data = load(store, memory_bytes=0)
    features = store["003.mp4"].features.tobytes()
    for shard in (tmp_path / "s").glob("*.h5"):
        shard.write_bytes(shard.read_bytes().replace(features, features[::-1]))
    with pytest.raises(StoreError, match=r"003\.mp4"):
        list(data.batches())
