"""Merge stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import FACES, FEATURES, StoreKind, payload

from deepfake_seq.errors import FingerprintMismatchError, StoreError, UsageError
from deepfake_seq.store import FaceStore, Fingerprint, faces_of
from deepfake_seq.store.upkeep.merge import merge, merge_with_faces, without_faces
from deepfake_seq.store.upkeep.verify import verify


def records(kind: StoreKind, *names: str, **changes: object) -> list[Any]:
    return [kind.make(f"{name}.mp4", seed=ord(name), **changes) for name in names]


def test_every_record_is_in_the_merged_store_once(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", records(kind, "a", "b", "c"))
    kind.write(tmp_path / "b", records(kind, "c", "d"))
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (4, 4)
    merged = {record.video_id: record.sha256 for record in kind.store.open(tmp_path / "out")}
    assert merged == {
        record.video_id: record.sha256 for record in records(kind, "a", "b", "c", "d")
    }
    assert verify(tmp_path / "out").is_whole
    assert len(list((tmp_path / "out").glob("*.h5"))) == 1


def test_a_merge_continues_in_an_existing_store(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", records(kind, "a", "b"))
    kind.write(tmp_path / "out", records(kind, "b", "c"))
    assert merge([tmp_path / "a"], tmp_path / "out") == (3, 1)
    assert merge([tmp_path / "a"], tmp_path / "out") == (3, 0)


def test_a_conflict_is_reported_and_nothing_is_written(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", records(kind, "a", "b"))
    kind.write(tmp_path / "b", [*records(kind, "b", label=1), *records(kind, "c")])
    with pytest.raises(StoreError, match=r"b\.mp4 \(label, in .*a and .*b\)") as caught:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert "Nothing was merged" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_many_conflicts_are_counted(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", records(kind, *"abcdefgh"))
    kind.write(tmp_path / "b", [replace(r, split="test") for r in records(kind, *"abcdefgh")])
    with pytest.raises(StoreError, match=r"^8 videos differ.* and 3 more\. "):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_different_content_of_one_video_is_a_conflict(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", [kind.make("a.mp4", seed=1)])
    kind.write(tmp_path / "b", [kind.make("a.mp4", seed=2)])
    with pytest.raises(StoreError, match=r"a\.mp4 \((features|.*images), in"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_file_times_and_revisions_are_not_a_conflict(tmp_path: Path, kind: StoreKind) -> None:
    (record,) = records(kind, "a")
    touched = replace(record, source=replace(record.source, mtime_ns=5))
    kind.write(tmp_path / "a", [record])
    kind.write(tmp_path / "b", [kind.make("a.mp4", label=1), touched])
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (1, 1)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_transient_failure_is_replaced_and_a_permanent_one_is_not(
    tmp_path: Path, order: str, kind: StoreKind
) -> None:
    stores = [tmp_path / name for name in order]
    kind.write(tmp_path / "a", records(kind, "x", valid=0, transient=True))
    kind.write(tmp_path / "b", records(kind, "x"))
    assert merge(stores, tmp_path / "out") == (1, 1)
    assert kind.store.open(tmp_path / "out")["x.mp4"].status == "ok"
    kind.write(tmp_path / "c", records(kind, "x", valid=0))
    with pytest.raises(StoreError, match=r"x\.mp4 \(.*status"):
        merge([*stores, tmp_path / "c"], tmp_path / "other")


def test_a_transient_failure_in_the_target_store_is_replaced(
    tmp_path: Path, kind: StoreKind
) -> None:
    kind.write(tmp_path / "out", records(kind, "x", valid=0, transient=True))
    kind.write(tmp_path / "a", records(kind, "x", "y"))
    assert merge([tmp_path / "a"], tmp_path / "out") == (2, 1)
    assert kind.store.open(tmp_path / "out")["x.mp4"].status == "ok"


def test_stores_with_different_settings_are_refused_and_the_settings_listed(
    tmp_path: Path, kind: StoreKind
) -> None:
    kind.write(tmp_path / "a", records(kind, "a"))
    fingerprint = Fingerprint({"faces": {"detector": "yunet"}})
    other = replace(kind.description, fingerprint=fingerprint)
    with kind.writer.create(tmp_path / "b", other) as writer:
        writer.commit(*records(kind, "b"))
    with pytest.raises(
        FingerprintMismatchError, match=r"faces\.detector is none there, yunet here"
    ):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(FingerprintMismatchError, match=r"faces\.detector"):
        merge([tmp_path / "a"], tmp_path / "b")


def test_a_store_cannot_be_merged_into_itself(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", records(kind, "a"))
    with pytest.raises(UsageError, match="--out"):
        merge([tmp_path / "a"], tmp_path / "x" / ".." / "a")


def test_a_damaged_record_stops_the_merge_and_is_named(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "a", records(kind, "a", "b"))
    for shard in (tmp_path / "a").glob("*.h5"):
        data = shard.read_bytes()
        content = payload(*records(kind, "b"))
        shard.write_bytes(data.replace(content, content[::-1]))
    with pytest.raises(StoreError, match=r"^b\.mp4"):
        merge([tmp_path / "a"], tmp_path / "out")


@pytest.mark.slow
def test_a_large_merge_fills_its_shards(tmp_path: Path, kind: StoreKind) -> None:
    for name in "ab":
        kind.write(
            tmp_path / name,
            (kind.make(f"{name}{n:03}.mp4", frames=1, valid=1) for n in range(130)),
        )
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (260, 260)
    assert len(list((tmp_path / "out").glob("*.h5"))) == 2


def test_stores_of_different_kinds_are_not_merged(tmp_path: Path) -> None:
    FEATURES.write(tmp_path / "a", records(FEATURES, "a"))
    FACES.write(tmp_path / "b", records(FACES, "b"))
    with pytest.raises(StoreError, match="b is a face cache, not a feature store"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(StoreError, match="b is a face cache, not a feature store"):
        merge([tmp_path / "a"], tmp_path / "b")
    with pytest.raises(StoreError, match="a is a feature store, not a face cache"):
        merge([tmp_path / "b"], tmp_path / "a")


def write_both(path: Path, *names: str, **changes: Any) -> None:
    """Write a feature store with a face cache; `changes` apply to the face records."""
    FEATURES.write(path, records(FEATURES, *names))
    FACES.write(faces_of(path), records(FACES, *names, **changes))


def test_face_caches_are_merged_with_their_stores(tmp_path: Path) -> None:
    write_both(tmp_path / "a", "a", "b")
    write_both(tmp_path / "b", "b", "c")
    out = tmp_path / "out"
    assert not without_faces([tmp_path / "a", tmp_path / "b"])
    assert merge_with_faces([tmp_path / "a", tmp_path / "b"], out) == ((3, 3), (3, 3))
    assert verify(out).is_whole and verify(faces_of(out)).is_whole
    assert FaceStore.open(faces_of(out)).video_ids == ["a.mp4", "b.mp4", "c.mp4"]
    assert merge_with_faces([tmp_path / "a"], out) == ((3, 0), (3, 0))


def test_face_caches_are_skipped_if_a_store_has_none(tmp_path: Path) -> None:
    write_both(tmp_path / "a", "a")
    FEATURES.write(tmp_path / "b", records(FEATURES, "b"))
    sources = [tmp_path / "a", tmp_path / "b"]
    assert without_faces(sources) == [tmp_path / "b"]
    assert merge_with_faces(sources, tmp_path / "out") == ((2, 2), None)
    assert not faces_of(tmp_path / "out").exists()


def test_nothing_is_merged_if_only_the_faces_conflict(tmp_path: Path) -> None:
    write_both(tmp_path / "a", "a")
    write_both(tmp_path / "b", "a", max_bytes=40)
    with pytest.raises(StoreError, match=r"a\.mp4 \(image_bytes, images, in"):
        merge_with_faces([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_record_without_conditions_equals_one_with_them(tmp_path: Path, kind: StoreKind) -> None:
    (older,) = records(kind, "a")
    newer = replace(older, facts={**older.facts, "conditions": {"sharpness": 0.1}})
    kind.write(tmp_path / "a", [older])
    kind.write(tmp_path / "b", [newer])
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == (1, 1)
