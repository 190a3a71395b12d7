"""Verify and repair a store."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from records import KINDS, StoreKind, payload

from deepfake_seq.errors import StoreError
from deepfake_seq.store import Fingerprint, Record, open_store
from deepfake_seq.store.shards.encode import encode
from deepfake_seq.store.shards.read import Shard
from deepfake_seq.store.upkeep.repair import repair
from deepfake_seq.store.upkeep.verify import StoreReport, verify


@pytest.fixture
def records(kind: StoreKind) -> list[Any]:
    return [
        *(kind.make(f"{number}.mp4", seed=number) for number in range(5)),
        kind.make("none.mp4", valid=0, label=1),
    ]


@pytest.fixture
def path(tmp_path: Path, kind: StoreKind, records: list[Any]) -> Path:
    """A store with one sealed shard of four records and two small ones."""
    kind.write(tmp_path / "s", records, shard_records=4)
    return tmp_path / "s"


def shard_with(path: Path, record: Record) -> Path:
    return next(p for p in path.glob("*.h5") if record.metadata in p.read_bytes())


def flip(shard: Path, needle: bytes, at: int = 0) -> None:
    data = bytearray(shard.read_bytes())
    data[data.index(needle) + at] ^= 1
    shard.write_bytes(bytes(data))


def readable(path: Path) -> dict[str, bytes]:
    return {record.video_id: record.sha256 for record in open_store(path)}


def files(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_an_intact_store_is_counted_by_status(path: Path, kind: StoreKind) -> None:
    report = verify(path)
    assert report.is_whole
    assert report.videos == 6
    assert report.by_status == {"ok": 5, "no_face": 1}
    assert report == StoreReport(
        str(path), kind.description.fingerprint.id, videos=6, by_status=report.by_status
    )


def test_verifying_changes_nothing(path: Path, records: list[Any]) -> None:
    flip(shard_with(path, records[2]), payload(records[2]))
    (path / ".writer-dead").mkdir()
    (path / ".writer-dead" / ".tmp-x").write_bytes(b"half")
    before = files(path)
    report = verify(path)
    assert not report.is_whole
    assert report.leftovers == [".writer-dead"]
    assert files(path) == before


def test_a_bad_record_is_reported_with_its_video_and_shard(path: Path, records: list[Any]) -> None:
    shard = shard_with(path, records[2])
    flip(shard, payload(records[2]), 9)
    (bad,) = verify(path).bad_records
    assert (bad.video_id, bad.shard, bad.position) == ("2.mp4", shard.name, 2)
    assert "SHA-256" in bad.reason
    assert verify(path).extract_again == ["2.mp4"]
    assert verify(path).videos == 5


def test_repair_keeps_intact_records_and_quarantines_the_shard(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    shard = shard_with(path, records[2])
    flip(shard, payload(records[2]), 9)
    damaged = shard.read_bytes()
    expected = {r.video_id: r.sha256 for r in records if r is not records[2]}
    report = repair(path)
    assert report.extract_again == ["2.mp4"]
    assert report.quarantined == [f"quarantine/{shard.name}"]
    assert (path / report.quarantined[0]).read_bytes() == damaged
    assert readable(path) == expected
    assert verify(path).is_whole
    kind.write(path, [records[2]])
    assert readable(path) == expected | {"2.mp4": records[2].sha256}


def test_a_file_that_is_not_a_shard_is_quarantined(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    small = shard_with(path, records[4])
    small.write_bytes(small.read_bytes()[:300])
    with pytest.raises(StoreError, match="deepseq verify --repair"):
        kind.store.open(path)
    report = verify(path)
    assert list(report.unreadable_shards) == [small.name]
    assert report.extract_again == []  # their ids cannot be read
    assert repair(path).quarantined == [f"quarantine/{small.name}"]
    assert "4.mp4" not in readable(path) and len(readable(path)) == 5


def test_all_records_survive_a_damaged_index(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    shard = shard_with(path, records[2])
    flip(shard, b'[["0.mp4"', 3)
    with pytest.raises(StoreError, match="the index is damaged"):
        kind.store.open(path)
    report = repair(path)
    assert report.unreadable_shards and not report.bad_records and not report.extract_again
    assert readable(path) == {record.video_id: record.sha256 for record in records}
    assert verify(path).is_whole


def test_an_index_that_does_not_match_the_records_is_found(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    import hashlib

    shard = shard_with(path, records[2])
    with h5py.File(shard, "r+") as file:
        text = file["index"][:].tobytes().replace(b"0.mp4", b"9.mp4")
        file["index"][:] = np.frombuffer(text, dtype=np.uint8)
        file.attrs["index_sha256"] = np.bytes_(hashlib.sha256(text).hexdigest())
    with pytest.raises(StoreError, match=r"^9\.mp4"):
        kind.store.open(path)["9.mp4"]
    assert "the index does not match the records" in verify(path).unreadable_shards[shard.name]
    repair(path)
    assert readable(path) == {record.video_id: record.sha256 for record in records}


def test_a_shard_of_another_store_is_quarantined(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    other = replace(kind.description, fingerprint=Fingerprint({"other": 1}))
    (path / "other.h5").write_bytes(encode(records[:2], other))
    assert "belongs to another store" in verify(path).unreadable_shards["other.h5"]
    assert repair(path).quarantined == ["quarantine/other.h5"]
    assert len(readable(path)) == 6


def test_a_shard_of_the_other_kind_is_quarantined(path: Path, kind: StoreKind) -> None:
    (other,) = (each for each in KINDS if each is not kind)
    (path / "other.h5").write_bytes(encode([other.make("x.mp4")], other.description))
    assert f"contains {other.name}, not {kind.name}" in verify(path).unreadable_shards["other.h5"]
    assert repair(path).quarantined == ["quarantine/other.h5"]
    assert len(readable(path)) == 6


def test_conflicting_records_are_both_quarantined(
    path: Path, tmp_path: Path, kind: StoreKind
) -> None:
    kind.write(tmp_path / "t", [kind.make("1.mp4", label=1)])
    for shard in (tmp_path / "t").glob("*.h5"):
        shutil.copy(shard, path)
    report = verify(path)
    assert [bad.video_id for bad in report.bad_records] == ["1.mp4", "1.mp4"]
    assert report.extract_again == ["1.mp4"]
    assert len(repair(path).quarantined) == 2
    assert sorted(readable(path)) == ["0.mp4", "2.mp4", "3.mp4", "4.mp4", "none.mp4"]
    assert verify(path).is_whole


def test_an_older_record_is_used_if_the_newer_one_is_damaged(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    newer = kind.make("1.mp4", seed=7)
    kind.write(path, [newer])
    shard = next(p for p in path.glob("*.h5") if payload(newer) in p.read_bytes())
    flip(shard, payload(newer))
    with pytest.raises(StoreError, match=r"1\.mp4"):
        kind.store.open(path)["1.mp4"]
    report = repair(path)
    assert report.extract_again == []
    assert readable(path)["1.mp4"] == records[1].sha256


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_lost_description_is_restored_from_the_shards(
    path: Path, harm: str, kind: StoreKind
) -> None:
    description = path / "store.json"
    text = description.read_bytes()
    description.unlink() if harm == "gone" else description.write_bytes(text[:50])
    for look in (kind.store.open, verify):
        with pytest.raises(StoreError, match="verify --repair"):
            look(path)
    report = repair(path)
    assert report.is_whole
    assert description.read_bytes() == text
    assert len(readable(path)) == 6
    assert (path / "quarantine" / "store.json").exists() == (harm == "damaged")


def test_repairing_an_intact_store_only_removes_leftovers(path: Path) -> None:
    (path / ".writer-dead").mkdir()
    before = {name: data for name, data in files(path).items() if ".locks" not in name}
    report = repair(path)
    assert report.is_whole and report.leftovers == [".writer-dead"] and not report.quarantined
    assert files(path) == before
    assert not (path / ".writer-dead").exists()


def test_repairing_twice_keeps_both_damaged_files(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    for _ in range(2):
        shard = next(p for p in path.glob("*.h5") if records[4].metadata in p.read_bytes())
        shard = shard.rename(path / "same.h5")
        flip(shard, payload(records[4]))
        repair(path)
        kind.write(path, [records[4]])
    assert len(list((path / "quarantine").iterdir())) == 2


def test_a_store_can_be_repaired_while_it_is_written(
    path: Path, kind: StoreKind, records: list[Any]
) -> None:
    with kind.writer.create(path, kind.description) as writer:
        writer.commit(kind.make("new.mp4"))
        flip(shard_with(path, records[2]), payload(records[2]))
        assert repair(path).leftovers == []
        writer.commit(records[2])
        writer.commit(kind.make("newer.mp4"))
    assert len(readable(path)) == 8


def test_records_are_checked_where_another_process_moves_them_meanwhile(
    path: Path, kind: StoreKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Shard.index
    with kind.writer.create(path, kind.description) as writer:
        writer.commit(kind.make("new.mp4"))

        def sealing(shard: Shard) -> list[Any]:
            writer.seal()
            return index(shard)

        monkeypatch.setattr(Shard, "index", sealing)
        report = verify(path)
    assert (report.videos, report.is_whole, report.duplicates) == (7, True, [])


@pytest.mark.parametrize("look", [verify, repair])
def test_verifying_a_missing_store_fails(tmp_path: Path, look: object) -> None:
    assert callable(look)
    with pytest.raises(StoreError, match="no feature store"):
        look(tmp_path)
    assert not list(tmp_path.iterdir())
