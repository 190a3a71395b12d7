"""Read a store."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import run_python
from records import (
    FEATURES,
    StoreKind,
    make_record,
    make_store,
    payload,
    same_record,
    write_store,
)

from deepfake_seq.errors import StoreError
from deepfake_seq.store import FeatureStore, Store


def test_records_are_returned_by_id_and_in_order(tmp_path: Path, kind: StoreKind) -> None:
    records = [kind.make(name, seed=n) for n, name in enumerate(("b.mp4", "a/c.mp4", "ü.mp4"))]
    with kind.write(tmp_path / "s", records) as store:
        assert [record.video_id for record in store] == ["a/c.mp4", "b.mp4", "ü.mp4"]
        assert store.video_ids == ["a/c.mp4", "b.mp4", "ü.mp4"]
        assert same_record(store["b.mp4"], records[0])
        assert "b.mp4" in store and "x.mp4" not in store
        assert len(store) == 3
    with pytest.raises(KeyError):
        store["x.mp4"]
    assert store.entry("x.mp4") is None


def test_the_repr_describes_the_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=3)
    assert repr(store) == (
        f"<FeatureStore {tmp_path / 's'}: 3 records in 3 shards, "
        f"fingerprint {store.fingerprint.id}>"
    )


def test_entries_match_their_records(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=5)
    for record, entry in zip(store, store.entries(), strict=True):
        assert entry.assigned == (record.label, record.groups, record.split, {})
        assert (entry.status, entry.revision, entry.transient) == ("ok", 1, False)
        assert entry.source == record.source


def test_records_can_be_read_in_any_order(tmp_path: Path, kind: StoreKind) -> None:
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(9)]
    store = kind.write(tmp_path / "s", records, shard_records=4)
    order = [f"{number}.mp4" for number in (3, 4, 0, 8, 1, 2, 2)]
    assert [record.video_id for record in store.records(order)] == order
    with pytest.raises(KeyError):
        list(store.records(["0.mp4", "x.mp4"]))


@pytest.mark.parametrize("size", [1, 4, 10, 99])
def test_batches_contain_every_record_once(tmp_path: Path, size: int) -> None:
    records = [
        make_record(f"{number:02}.mp4", seed=number, valid=number, label=number % 2)
        for number in range(10)
    ]
    store = write_store(tmp_path / "s", records)
    batches = list(store.batches(size))
    assert [len(batch.video_ids) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert [name for batch in batches for name in batch.video_ids] == store.video_ids
    features = np.concatenate([batch.features for batch in batches])
    np.testing.assert_array_equal(features, np.stack([record.features for record in records]))
    masks = np.concatenate([batch.mask for batch in batches])
    np.testing.assert_array_equal(masks.sum(axis=1), np.arange(10))
    labels = np.concatenate([batch.labels for batch in batches])
    np.testing.assert_array_equal(labels, np.arange(10) % 2)
    assert (features.dtype, masks.dtype, labels.dtype) == (np.float16, np.bool_, np.int64)


def test_batches_of_selected_records_keep_their_order(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=6)
    chosen = ["004.mp4", "001.mp4", "005.mp4"]
    assert [batch.video_ids for batch in store.batches(2, chosen)] == [
        ("004.mp4", "001.mp4"),
        ("005.mp4",),
    ]
    with pytest.raises(ValueError, match="Received: 0"):
        next(store.batches(0))
    assert list(store.batches(2, [])) == []


def test_a_moved_store_is_unchanged(tmp_path: Path) -> None:
    before = [record.sha256 for record in make_store(tmp_path / "s", clips=4)]
    shutil.move(tmp_path / "s", tmp_path / "elsewhere")
    assert [record.sha256 for record in FeatureStore.open(tmp_path / "elsewhere")] == before
    for number, shard in enumerate(sorted((tmp_path / "elsewhere").glob("*.h5"))):
        shard.rename(shard.with_name(f"{number}.h5"))
    assert [record.sha256 for record in FeatureStore.open(tmp_path / "elsewhere")] == before


def test_a_missing_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no feature store in"):
        FeatureStore.open(tmp_path)


def test_an_altered_description_is_detected(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=2)
    path = tmp_path / "s" / "store.json"
    path.write_text(path.read_text().replace('"margin": 0.3', '"margin": 0.4', 1))
    with pytest.raises(StoreError, match="was altered"):
        FeatureStore.open(tmp_path / "s")


def test_other_files_in_the_folder_are_ignored(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=2)
    (tmp_path / "s" / "._shard.h5").write_text("macOS leaves these on other disks")
    (tmp_path / "s" / "notes.txt").write_text("")
    assert len(FeatureStore.open(tmp_path / "s")) == 2


def damage(path: Path, content: bytes) -> None:
    """Flip a bit in the features or in an image."""
    for shard in path.glob("*.h5"):
        data = bytearray(shard.read_bytes())
        if content in data:
            data[data.index(content) + 7] ^= 1
            shard.write_bytes(bytes(data))


@pytest.mark.parametrize("shard_records", [2, 256])
def test_a_damaged_record_is_never_returned_and_the_error_names_its_video(
    tmp_path: Path, kind: StoreKind, shard_records: int
) -> None:
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(4)]
    store = kind.write(tmp_path / "s", records, shard_records=shard_records)
    damage(tmp_path / "s", payload(records[2]))
    with pytest.raises(StoreError, match=r"^2\.mp4: .*damaged.*deepseq verify --repair"):
        store["2.mp4"]
    with pytest.raises(StoreError, match=r"^2\.mp4: "):
        list(store)
    if kind is FEATURES:
        with pytest.raises(StoreError, match=r"^2\.mp4: "):
            list(store.batches(3))
    assert same_record(store["3.mp4"], records[3])


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_the_error_for_a_shard_damaged_while_open_names_the_video(
    tmp_path: Path, harm: str
) -> None:
    store = write_store(tmp_path / "s", [make_record("a.mp4")])
    (shard,) = (tmp_path / "s").glob("*.h5")
    shard.unlink() if harm == "gone" else shard.write_bytes(shard.read_bytes()[:500])
    with pytest.raises(StoreError, match=r"^a\.mp4: "):
        store["a.mp4"]
    with pytest.raises((StoreError, KeyError), match=r"a\.mp4"):
        list(store.records(["a.mp4"]))


def test_a_reader_finds_records_sealed_by_another_process(tmp_path: Path, kind: StoreKind) -> None:
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(6)]
    reader = kind.write(tmp_path / "s", records)
    iterator = iter(reader)
    assert same_record(next(iterator), records[0])
    with kind.writer.create(tmp_path / "s", kind.description) as writer:
        writer.seal()
    assert len(list((tmp_path / "s").glob("*.h5"))) == 1
    assert same_record(reader["4.mp4"], records[4])
    assert [record.sha256 for record in iterator] == [record.sha256 for record in records[1:]]


def test_a_reader_sees_new_records_after_a_refresh(tmp_path: Path) -> None:
    reader = write_store(tmp_path / "s", [make_record("a.mp4")])
    write_store(tmp_path / "s", [make_record("b.mp4")])
    assert len(reader) == 1
    reader.refresh()
    assert reader.video_ids == ["a.mp4", "b.mp4"]


def test_conflicting_records_are_refused_and_the_error_names_the_video(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [make_record("a.mp4"), make_record("b.mp4")])
    write_store(tmp_path / "t", [make_record("a.mp4", label=1)])
    for shard in (tmp_path / "t").glob("*.h5"):
        shutil.copy(shard, tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    with pytest.raises(StoreError, match=r"a\.mp4 has different records in .* and in"):
        store["a.mp4"]
    with pytest.raises(StoreError, match=r"a\.mp4"):
        list(store)
    assert same_record(store["b.mp4"], make_record("b.mp4"))


def read_in_another_process(store: Store[Any]) -> list[bytes]:
    return [record.sha256 for record in store]


def test_a_store_can_be_sent_to_other_processes(tmp_path: Path, kind: StoreKind) -> None:
    store = kind.write(tmp_path / "s", [kind.make(f"{n}.mp4", seed=n) for n in range(4)])
    expected = [record.sha256 for record in store]
    copy = pickle.loads(pickle.dumps(store))
    assert [record.sha256 for record in copy] == expected
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(read_in_another_process, [store, store]) == [expected, expected]


def test_a_store_can_be_read_after_a_fork(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=4)
    output = run_python(
        "import os\n"
        "from pathlib import Path\n"
        "from deepfake_seq.store import FeatureStore\n"
        f"store = FeatureStore.open(Path({str(tmp_path / 's')!r}))\n"
        "first = [record.sha256 for record in store]\n"
        "children = []\n"
        "for _ in range(3):\n"
        "    children.append(os.fork())\n"
        "    if not children[-1]:\n"
        "        os._exit([record.sha256 for record in store] != first)\n"
        "print([os.waitpid(child, 0)[1] for child in children])\n"
    )
    assert output.strip() == "[0, 0, 0]"


def test_a_store_is_opened_by_a_path_or_a_string(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [make_record("a.mp4")])
    assert FeatureStore.open(str(tmp_path / "s"))["a.mp4"].video_id == "a.mp4"
