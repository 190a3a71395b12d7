"""Several stores into one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from records import make_record, write_store

from deepfake_seq.errors import FingerprintMismatchError, StoreError, UsageError
from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.merge import merge
from deepfake_seq.store.verify import verify


def records(*names: str, **changes: object) -> list[FeatureRecord]:
    return [make_record(f"{name}.mp4", seed=ord(name), **changes) for name in names]


def test_every_record_is_in_the_merged_store_once(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records("a", "b", "c"))
    write_store(tmp_path / "b", records("c", "d"))
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (4, 4)
    found = {record.video_id: record.sha256 for record in FeatureStore.open(tmp_path / "out")}
    assert found == {record.video_id: record.sha256 for record in records("a", "b", "c", "d")}
    assert verify(tmp_path / "out").is_whole
    assert len(list((tmp_path / "out").glob("*.h5"))) == 1


def test_a_merge_goes_on_in_a_store_that_is_there(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records("a", "b"))
    write_store(tmp_path / "out", records("b", "c"))
    assert merge([tmp_path / "a"], tmp_path / "out") == (3, 1)
    assert merge([tmp_path / "a"], tmp_path / "out") == (3, 0)


def test_a_contradiction_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records("a", "b"))
    write_store(tmp_path / "b", [*records("b", label=1), *records("c")])
    with pytest.raises(StoreError, match=r"b\.mp4 \(label, in .*a and .*b\)") as caught:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert "Nothing was merged" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_many_contradictions_are_counted(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records(*"abcdefgh"))
    write_store(tmp_path / "b", [replace(r, split="test") for r in records(*"abcdefgh")])
    with pytest.raises(StoreError, match=r"^8 videos differ.* and 3 more\. "):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_other_features_of_one_video_are_a_contradiction(tmp_path: Path) -> None:
    write_store(tmp_path / "a", [make_record("a.mp4", seed=1)])
    write_store(tmp_path / "b", [make_record("a.mp4", seed=2)])
    with pytest.raises(StoreError, match=r"a\.mp4 \(features, in"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_a_copied_video_file_and_a_revision_are_no_contradiction(tmp_path: Path) -> None:
    (record,) = records("a")
    touched = replace(record, source=replace(record.source, mtime_ns=5))
    write_store(tmp_path / "a", [record])
    write_store(tmp_path / "b", [make_record("a.mp4", label=1), touched])
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (1, 1)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_transient_failure_gives_way_and_another_does_not(tmp_path: Path, order: str) -> None:
    stores = [tmp_path / name for name in order]
    write_store(tmp_path / "a", records("x", valid=0, transient=True))
    write_store(tmp_path / "b", records("x"))
    assert merge(stores, tmp_path / "out") == (1, 1)
    assert FeatureStore.open(tmp_path / "out")["x.mp4"].status == "ok"
    write_store(tmp_path / "c", records("x", valid=0))
    with pytest.raises(StoreError, match=r"x\.mp4 \(.*status"):
        merge([*stores, tmp_path / "c"], tmp_path / "other")


def test_a_transient_failure_in_the_store_that_is_there_is_replaced(tmp_path: Path) -> None:
    write_store(tmp_path / "out", records("x", valid=0, transient=True))
    write_store(tmp_path / "a", records("x", "y"))
    assert merge([tmp_path / "a"], tmp_path / "out") == (2, 1)
    assert FeatureStore.open(tmp_path / "out")["x.mp4"].status == "ok"


def test_stores_made_otherwise_are_refused_with_what_differs(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records("a"))
    other = StoreDescription(Fingerprint({"faces": {"detector": "yunet"}}), {})
    with StoreWriter.create(tmp_path / "b", other) as writer:
        writer.commit(*records("b"))
    with pytest.raises(
        FingerprintMismatchError, match=r"faces\.detector is none there, yunet here"
    ):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(FingerprintMismatchError, match=r"faces\.detector"):
        merge([tmp_path / "a"], tmp_path / "b")


def test_a_store_cannot_be_merged_into_itself(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records("a"))
    with pytest.raises(UsageError, match="--out"):
        merge([tmp_path / "a"], tmp_path / "x" / ".." / "a")


def test_a_damaged_record_stops_the_merge_by_name(tmp_path: Path) -> None:
    write_store(tmp_path / "a", records("a", "b"))
    for shard in (tmp_path / "a").glob("*.h5"):
        data = shard.read_bytes()
        features = records("b")[0].features.tobytes()
        shard.write_bytes(data.replace(features, features[::-1]))
    with pytest.raises(StoreError, match=r"^b\.mp4"):
        merge([tmp_path / "a"], tmp_path / "out")


def test_a_large_merge_fills_its_shards(tmp_path: Path) -> None:
    for name in "ab":
        write_store(
            tmp_path / name,
            (make_record(f"{name}{n:03}.mp4", frames=1, valid=1) for n in range(200)),
        )
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (400, 400)
    assert len(list((tmp_path / "out").glob("*.h5"))) == 2
