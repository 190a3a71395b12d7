from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from records import FINGERPRINT, make_record, make_store, same_record

from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store import FeatureStore, Fingerprint


def test_records_come_back_by_id_and_in_order(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT, {})
    records = [make_record(name, seed=n) for n, name in enumerate(("b.mp4", "a/c.mp4", "ü.mp4"))]
    for record in records:
        store.commit(record)
    reopened = FeatureStore.open(tmp_path / "s")
    assert [record.video_id for record in reopened] == ["a/c.mp4", "b.mp4", "ü.mp4"]
    assert same_record(reopened["b.mp4"], records[0])
    assert "b.mp4" in reopened and "x.mp4" not in reopened
    assert len(reopened) == 3
    assert "records=3" in repr(reopened)


def test_a_later_record_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT, {})
    store.commit(make_record(seed=1))
    newer = make_record(seed=2, label=1)
    store.commit(newer)
    assert same_record(store[newer.video_id], newer)
    assert len(FeatureStore.open(tmp_path / "s")) == 1


def test_a_commit_leaves_nothing_but_the_shard(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT, {})
    store.commit(make_record())
    names = sorted(path.suffix for path in (tmp_path / "s").iterdir())
    assert names == [".h5", ".json"]


def test_a_moved_store_is_the_same_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=4)
    before = [record.sha256 for record in store]
    shutil.move(tmp_path / "s", tmp_path / "elsewhere")
    assert [record.sha256 for record in FeatureStore.open(tmp_path / "elsewhere")] == before


def test_other_settings_are_refused_with_what_differs(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s", FINGERPRINT, {})
    other = Fingerprint({**FINGERPRINT.fields, "faces": {"detector": "mtcnn", "margin": 0.3}})
    with pytest.raises(FingerprintMismatchError) as caught:
        FeatureStore.create(tmp_path / "s", other, {})
    assert "faces.detector is none there, mtcnn here" in str(caught.value)
    assert "margin" not in str(caught.value)


def test_shards_without_a_description_are_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x.h5").touch()
    with pytest.raises(StoreError, match=r"no store\.json"):
        FeatureStore.create(tmp_path / "s", FINGERPRINT, {})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "deepseq-store"}'])
def test_a_broken_description_is_refused_by_name(tmp_path: Path, text: str) -> None:
    make_store(tmp_path / "s", clips=2)
    (tmp_path / "s" / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"store\.json"):
        FeatureStore.open(tmp_path / "s")


def test_an_altered_description_is_noticed(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=2)
    path = tmp_path / "s" / "store.json"
    path.write_text(path.read_text().replace('"margin": 0.3', '"margin": 0.4', 1))
    with pytest.raises(StoreError, match="was altered"):
        FeatureStore.open(tmp_path / "s")


def test_there_is_no_store_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no feature store in"):
        FeatureStore.open(tmp_path)


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(StoreError, match="is a file; a store is a directory"):
        FeatureStore.create(tmp_path / "s", FINGERPRINT, {})


def test_a_damaged_record_is_named_by_its_video_and_never_returned(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=2)
    (shard,) = {store.entries()["001.mp4"].shard}
    data = bytearray(shard.read_bytes())
    features = store["001.mp4"].features.tobytes()
    data[data.index(features) + 7] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"^001\.mp4: .*damaged"):
        FeatureStore.open(tmp_path / "s")["001.mp4"]
