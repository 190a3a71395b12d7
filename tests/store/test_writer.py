"""Write to a store: commit, replace, seal, and remove leftovers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import (
    DESCRIPTION,
    FINGERPRINT,
    KINDS,
    StoreKind,
    make_record,
    payload,
    same_record,
)

from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store import FeatureStore, Fingerprint, StoreWriter
from deepfake_seq.store.upkeep.verify import verify


def shards(path: Path) -> list[Path]:
    return sorted(path.glob("*.h5"))


def visible(path: Path) -> list[str]:
    return sorted({entry.suffix for entry in path.iterdir() if not entry.name.startswith(".")})


def test_no_file_is_created_before_the_first_claim(tmp_path: Path, kind: StoreKind) -> None:
    with kind.writer.create(tmp_path / "s", kind.description) as writer:
        assert len(writer) == 0
    assert not (tmp_path / "s").exists()


def test_a_commit_leaves_only_the_shard(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "s", [kind.make()])
    assert visible(tmp_path / "s") == [".h5", ".json"]
    assert [entry.name for entry in (tmp_path / "s").glob(".*")] == [".locks"]
    assert not list((tmp_path / "s" / ".locks").iterdir())


def test_a_later_record_replaces_the_earlier_one(tmp_path: Path, kind: StoreKind) -> None:
    newer = kind.make(seed=2, label=1)
    store = kind.write(tmp_path / "s", [kind.make(seed=1), newer])
    record = store[newer.video_id]
    assert record.same_content(newer)
    assert record.revision == 2
    assert len(store) == 1
    assert len(shards(tmp_path / "s")) == 1


def test_a_record_in_a_sealed_shard_can_be_replaced(tmp_path: Path, kind: StoreKind) -> None:
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(4)]
    kind.write(tmp_path / "s", records, shard_records=4)
    (sealed,) = shards(tmp_path / "s")
    newer = kind.make("2.mp4", seed=9)
    store = kind.write(tmp_path / "s", [newer])
    assert store["2.mp4"].same_content(newer)
    assert same_record(store["1.mp4"], records[1])
    assert sealed.exists() and len(shards(tmp_path / "s")) == 2


def test_different_settings_are_refused_and_listed(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "s")
    other = Fingerprint({**FINGERPRINT.fields, "faces": {"detector": "mtcnn", "margin": 0.3}})
    with pytest.raises(FingerprintMismatchError) as caught:
        kind.writer.create(tmp_path / "s", replace(kind.description, fingerprint=other))
    assert "faces.detector is none there, mtcnn here" in str(caught.value)
    assert "margin" not in str(caught.value)


def test_two_writers_cannot_create_one_store_with_different_settings(
    tmp_path: Path, kind: StoreKind
) -> None:
    fingerprint = Fingerprint({"faces": {"detector": "mtcnn"}})
    other = replace(kind.description, fingerprint=fingerprint)
    with (
        kind.writer.create(tmp_path / "s", kind.description) as one,
        kind.writer.create(tmp_path / "s", other) as two,
    ):
        one.commit(kind.make())
        with pytest.raises(FingerprintMismatchError):
            two.claim("b.mp4")


def test_shards_without_a_description_are_not_adopted(tmp_path: Path, kind: StoreKind) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x.h5").touch()
    with pytest.raises(StoreError, match=r"no store\.json"):
        kind.writer.create(tmp_path / "s", kind.description)


def test_a_file_in_place_of_the_store_is_reported(tmp_path: Path, kind: StoreKind) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(StoreError, match="is a file, but a store is a directory"):
        kind.writer.create(tmp_path / "s", kind.description)


def test_a_record_of_another_shape_is_refused(tmp_path: Path, kind: StoreKind) -> None:
    kind.write(tmp_path / "s", [kind.make("a.mp4")])
    with pytest.raises(StoreError, match="must have the same shape"):
        kind.write(tmp_path / "s", [kind.make("b.mp4", frames=9, valid=9)])
    assert len(kind.store.open(tmp_path / "s")) == 1


def test_a_claimed_video_cannot_be_claimed_by_another_writer(
    tmp_path: Path, kind: StoreKind
) -> None:
    with (
        kind.writer.create(tmp_path / "s", kind.description) as one,
        kind.writer.create(tmp_path / "s", kind.description) as two,
    ):
        assert one.claim("a.mp4") and one.claim("a.mp4")
        assert not two.claim("a.mp4")
        assert two.claim("b.mp4")
        one.release("a.mp4")
        assert two.claim("a.mp4")


def test_a_claim_refreshes_earlier_commits_of_the_video(tmp_path: Path, kind: StoreKind) -> None:
    with (
        kind.writer.create(tmp_path / "s", kind.description) as one,
        kind.writer.create(tmp_path / "s", kind.description) as two,
    ):
        assert one.claim("a.mp4")
        one.commit(kind.make("a.mp4"))
        assert "a.mp4" not in two
        assert two.claim("a.mp4")
        assert "a.mp4" in two


def test_closing_a_writer_releases_its_claims(tmp_path: Path, kind: StoreKind) -> None:
    with kind.writer.create(tmp_path / "s", kind.description) as two:
        with (
            pytest.raises(RuntimeError),
            kind.writer.create(tmp_path / "s", kind.description) as one,
        ):
            one.claim("a.mp4")
            raise RuntimeError
        assert two.claim("a.mp4")


def test_small_shards_are_sealed_automatically(tmp_path: Path, kind: StoreKind) -> None:
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(10)]
    store = kind.write(tmp_path / "s", records, shard_records=4)
    assert len(shards(tmp_path / "s")) == 4
    assert [record.sha256 for record in store] == [record.sha256 for record in records]


def test_sealing_leaves_at_most_one_shard_less_than_half_full(
    tmp_path: Path, kind: StoreKind
) -> None:
    path = tmp_path / "s"
    for start in range(0, 30, 3):
        names = [f"{number:02}.mp4" for number in range(start, start + 3)]
        with kind.writer.create(path, kind.description, shard_records=8) as writer:
            for name in names:
                writer.commit(kind.make(name))
            writer.seal()
    store = kind.store.open(path)
    assert len(store) == 30
    assert len(shards(path)) <= 7
    before = [(shard.name, shard.stat().st_ino) for shard in shards(path)]
    with kind.writer.create(path, kind.description, shard_records=8) as writer:
        writer.seal()
    assert [(shard.name, shard.stat().st_ino) for shard in shards(path)] == before


def test_sealing_drops_replaced_records(tmp_path: Path, kind: StoreKind) -> None:
    path = tmp_path / "s"
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(8)]
    kind.write(path, records, shard_records=8)
    kind.write(path, [kind.make(f"{n}.mp4", seed=n, label=1) for n in range(6)], shard_records=8)
    with kind.writer.create(path, kind.description, shard_records=8) as writer:
        writer.seal()
    report = verify(path)
    assert report.is_whole and not report.duplicates
    assert [record.label for record in kind.store.open(path)] == [1] * 6 + [0] * 2
    assert len(shards(path)) == 1


def test_a_damaged_shard_is_kept_when_sealing(tmp_path: Path, kind: StoreKind) -> None:
    path = tmp_path / "s"
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(3)]
    kind.write(path, records)
    bad = next(p for p in shards(path) if payload(records[1]) in p.read_bytes())
    data = bytearray(bad.read_bytes())
    data[data.index(payload(records[1]))] ^= 1
    bad.write_bytes(bytes(data))
    for _ in range(2):
        with kind.writer.create(path, kind.description) as writer:
            writer.seal()
        assert bad.exists()
        assert len(shards(path)) == 2
    store = kind.store.open(path)
    assert [store[name].video_id for name in ("0.mp4", "2.mp4")] == ["0.mp4", "2.mp4"]
    with pytest.raises(StoreError):
        store["1.mp4"]


def test_copies_left_by_an_interrupted_seal_are_one_record(tmp_path: Path, kind: StoreKind) -> None:
    path = tmp_path / "s"
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(3)]
    kind.write(path, records)
    small = {shard: shard.read_bytes() for shard in shards(path)}
    with kind.writer.create(path, kind.description) as writer:
        writer.seal()
    for shard, data in small.items():
        shard.write_bytes(data)  # as if the process had ended before removing them
    assert len(kind.store.open(path)) == 3
    assert verify(path).is_whole and len(verify(path).duplicates) == 3
    with kind.writer.create(path, kind.description) as writer:
        writer.seal()
    assert len(shards(path)) == 1 and not verify(path).duplicates


def test_leftovers_of_dead_writers_are_removed_and_folders_of_live_ones_kept(
    tmp_path: Path, kind: StoreKind
) -> None:
    path = tmp_path / "s"
    kind.write(path, [kind.make("a.mp4")])
    dead = path / ".writer-dead"
    dead.mkdir()
    (dead / ".tmp-x").write_bytes(b"half a shard")
    (path / ".locks" / "video-0123").touch()
    with kind.writer.create(path, kind.description) as living:
        living.claim("b.mp4")
        assert not dead.exists()
        assert not (path / ".locks" / "video-0123").exists()
        (folder,) = path.glob(".writer-*")
        with kind.writer.create(path, kind.description) as other:
            other.claim("c.mp4")
            assert folder.exists()
            assert not other.claim("b.mp4")
        living.commit(kind.make("b.mp4"))
    assert len(kind.store.open(path)) == 2
    assert not list(path.glob(".writer-*"))


STEPS = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 1)) | st.none(), max_size=12)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_a_store_behaves_like_a_mapping_after_any_commits_and_seals(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int] | None], kind: StoreKind
) -> None:
    path = tmp_path_factory.mktemp("stores") / "s"
    expected: dict[str, int] = {}
    with kind.writer.create(path, kind.description, shard_records=3) as writer:
        writer.claim("")
        for step in steps:
            if step is None:
                writer.seal()
            else:
                writer.commit(kind.make(step[0], label=step[1], frames=2, valid=2))
                expected[step[0]] = step[1]
            assert {record.video_id: record.label for record in writer} == expected
    assert {record.video_id: record.label for record in kind.store.open(path)} == expected
    assert verify(path).is_whole


def test_records_with_and_without_evidence_are_sealed_into_shards_of_their_own(
    tmp_path: Path,
) -> None:
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as store:
        for number in range(6):
            evidence = {"depths": 3} if number % 2 else None
            store.commit(make_record(f"{number}.mp4", evidence=evidence))
        store.seal()
    reader = FeatureStore.open(tmp_path / "s")
    assert len(list((tmp_path / "s").glob("*.h5"))) == 2
    assert [sorted(record.evidence) for record in reader] == [[], ["depths"]] * 3
    assert verify(tmp_path / "s").is_whole
