"""Concurrent processes, disks without locks, and files that are not shards."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from records import DESCRIPTION, make_record, write_store

from deepfake_seq import atomic
from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store import FeatureStore, Fingerprint, StoreDescription, StoreWriter
from deepfake_seq.store.shards.encode import encode
from deepfake_seq.store.shards.guard import ShardAccessError
from deepfake_seq.store.shards.read import Shard
from deepfake_seq.store.upkeep.merge import merge
from deepfake_seq.store.upkeep.repair import repair
from deepfake_seq.store.upkeep.verify import verify

RECORDS = [make_record(f"{number}.mp4", seed=number) for number in range(4)]


@pytest.mark.parametrize("target", ["nowhere", "shard.h5", "../other.h5"])
def test_a_link_is_not_read_as_a_shard(tmp_path: Path, target: str) -> None:
    path = tmp_path / "s"
    write_store(path, RECORDS)
    (tmp_path / "other.h5").write_bytes(encode(RECORDS, DESCRIPTION))
    (path / "shard.h5").symlink_to(target)
    with pytest.raises(StoreError, match=r"shard\.h5 is a link"):
        FeatureStore.open(path)
    assert "shard.h5" in verify(path).unreadable_shards
    assert repair(path).quarantined == ["quarantine/shard.h5"]
    assert len(FeatureStore.open(path)) == 4


def test_a_folder_named_like_a_shard_is_quarantined(tmp_path: Path) -> None:
    write_store(tmp_path / "s", RECORDS)
    (tmp_path / "s" / "x.h5").mkdir()
    with pytest.raises(StoreError, match="not a regular file"):
        FeatureStore.open(tmp_path / "s")
    assert repair(tmp_path / "s").quarantined == ["quarantine/x.h5"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_several_writers_can_share_a_disk_without_flock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        StoreWriter.create(tmp_path / "s", DESCRIPTION, shard_records=2) as one,
        StoreWriter.create(tmp_path / "s", DESCRIPTION, shard_records=2) as two,
    ):
        assert one.claim("0.mp4") and two.claim("1.mp4")
        assert not two.claim("0.mp4")
        for record in RECORDS:
            (two if record is RECORDS[1] else one).commit(record)
        one.seal()
        assert two.claim("0.mp4")
    assert len(FeatureStore.open(tmp_path / "s")) == 4
    assert not list((tmp_path / "s" / ".locks").iterdir())


def test_a_shard_removed_while_it_is_opened_is_missing_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(encode(RECORDS, DESCRIPTION))
    real = h5py.File

    def vanishing(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        return real(*arguments, **options)

    monkeypatch.setattr("deepfake_seq.store.shards.guard.h5py.File", vanishing)
    with pytest.raises(FileNotFoundError):
        Shard(path, DESCRIPTION.fingerprint.id)


@pytest.mark.parametrize(
    "look",
    [lambda path: len(FeatureStore.open(path)), lambda path: verify(path).videos],
    ids=["open", "verify"],
)
def test_a_shard_replaced_by_an_equal_one_while_it_is_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Path], int]
) -> None:
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as writer:
        for record in RECORDS:
            writer.commit(record)
    shards = sorted((tmp_path / "s").glob("shard-*"))
    real, replaced = h5py.File, list[Path]()

    def replacing(*arguments: Any, **options: Any) -> Any:
        if not replaced:
            replaced.extend(shards)
            for path in shards:
                atomic.write_bytes(path, path.read_bytes())
        return real(*arguments, **options)

    monkeypatch.setattr("deepfake_seq.store.shards.guard.h5py.File", replacing)
    assert look(tmp_path / "s") == len(RECORDS)
    assert replaced


def after_next_write(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Call `action` after the next shard is written and before its writer indexes it."""
    from deepfake_seq.store import writer

    real = writer.write_shard

    def write_shard(*arguments: Any, **options: Any) -> str:
        name = real(*arguments, **options)
        monkeypatch.setattr(writer, "write_shard", real)
        action()
        return name

    monkeypatch.setattr(writer, "write_shard", write_shard)


def test_a_record_sealed_right_after_its_write_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    write_store(path, RECORDS)
    with (
        StoreWriter.create(path, DESCRIPTION) as one,
        StoreWriter.create(path, DESCRIPTION) as two,
    ):
        after_next_write(monkeypatch, two.seal)
        one.commit(make_record("0.mp4", label=1))
        assert two.claim("0.mp4"), "the claim was not released"
    store = FeatureStore.open(path)
    assert [record.label for record in store] == [1, 0, 0, 0]
    assert verify(path).is_whole


def test_a_failed_commit_releases_its_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        StoreWriter.create(tmp_path / "s", DESCRIPTION) as one,
        StoreWriter.create(tmp_path / "s", DESCRIPTION) as two,
    ):
        one.claim("x")
        after_next_write(monkeypatch, refuse)
        with pytest.raises(StoreError, match="No space left"):
            one.commit(RECORDS[0])
        assert two.claim("0.mp4")


def test_a_record_is_not_removed_if_its_copy_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read fails temporarily while sealing, and another process changes the folder."""
    path = tmp_path / "s"
    write_store(path, RECORDS)
    real = Shard.read
    failed: list[str] = []

    def read(shard: Shard, position: int) -> Any:
        record = real(shard, position)
        if record.video_id == "2.mp4" and not failed:
            failed.append(record.video_id)
            raise StoreError(f"{shard.path} cannot be read: Input/output error")
        if failed:
            writer.refresh()
        return record

    with StoreWriter.create(path, DESCRIPTION) as writer:
        monkeypatch.setattr(Shard, "read", read)
        writer.seal()
    monkeypatch.undo()
    assert [record.video_id for record in FeatureStore.open(path)] == [r.video_id for r in RECORDS]


def test_two_concurrent_merges_copy_each_video_once(tmp_path: Path) -> None:
    touched = [make_record(r.video_id, seed=n, facts={}) for n, r in enumerate(RECORDS)]
    write_store(tmp_path / "a", touched)
    write_store(tmp_path / "b", touched)
    errors: list[BaseException] = []

    def run(name: str) -> None:
        try:
            merge([tmp_path / name], tmp_path / "out")
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    report = verify(tmp_path / "out")
    assert report.is_whole and report.videos == 4


def test_a_writer_with_other_settings_cannot_write_to_an_existing_store(tmp_path: Path) -> None:
    other = StoreDescription(Fingerprint({"other": 1}), {})
    with StoreWriter.create(tmp_path / "s", other) as late:
        write_store(tmp_path / "s", RECORDS)
        for _ in range(2):
            with pytest.raises(FingerprintMismatchError):
                late.commit(make_record("x.mp4"))
    assert len(FeatureStore.open(tmp_path / "s")) == 4
    assert not list((tmp_path / "s").glob(".writer-*"))


def test_many_writers_can_start_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write_store(path, RECORDS)
    errors: list[BaseException] = []

    def start() -> None:
        try:
            with StoreWriter.create(path, DESCRIPTION) as writer:
                writer.claim(threading.current_thread().name)
        except StoreError as error:
            errors.append(error)

    for _ in range(5):
        for number in range(4):
            dead = path / f".writer-dead{number}"
            dead.mkdir(exist_ok=True)
            (dead / "lock").touch()
        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert not errors


def test_a_link_named_like_a_writers_folder_is_kept(tmp_path: Path) -> None:
    write_store(tmp_path / "s")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s" / ".writer-x").symlink_to(tmp_path / "elsewhere")
    write_store(tmp_path / "s", RECORDS)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_shard_that_cannot_be_opened_is_not_reported_as_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_store(tmp_path / "s", RECORDS)
    real = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(".h5"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for action in (FeatureStore.open, verify, repair):
            with pytest.raises(ShardAccessError, match="Too many open files"):
                action(tmp_path / "s")
    assert len(FeatureStore.open(tmp_path / "s")) == 4


def test_the_parent_folders_of_a_new_store_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs Linux to follow files")
    monkeypatch.setattr(os, "fsync", fsync)
    write_store(tmp_path / "new" / "s")
    assert {tmp_path, tmp_path / "new", tmp_path / "new" / "s"} <= set(synced)


def edited(path: Path, edit: Callable[[h5py.File], None]) -> Path:
    path.write_bytes(encode(RECORDS[:1], DESCRIPTION))
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def number_for_a_digest(file: h5py.File) -> None:
    file.attrs["metadata_sha256"] = np.int64(10**15)


def long_text(file: h5py.File) -> None:
    del file["description"]
    file["description"] = np.zeros(4 << 20, dtype=np.uint8)


def no_records(file: h5py.File) -> None:
    for name, rows in list(file.items()):
        if name not in ("index", "description"):
            empty = rows[:0]
            del file[name]
            file[name] = empty


@pytest.mark.parametrize("edit", [number_for_a_digest, long_text, no_records])
def test_sizes_that_no_writer_produces_are_refused(
    tmp_path: Path, edit: Callable[[h5py.File], None]
) -> None:
    path = edited(tmp_path / "x.h5", edit)
    with pytest.raises(StoreError, match=r"x\.h5"):
        Shard(path, DESCRIPTION.fingerprint.id)


def test_a_sparse_file_with_gigabytes_of_metadata_is_refused_unread(tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["metadata"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((1, 10**12))
        h5py.h5d.create(file.id, b"metadata", h5py.h5t.STD_U8LE, space, plist)

    path = edited(tmp_path / "x.h5", edit)
    assert path.stat().st_size > 10**12 > path.stat().st_blocks * 512
    with pytest.raises(StoreError, match="the metadata is empty or too large"):
        Shard(path, DESCRIPTION.fingerprint.id)


def test_a_record_with_too_much_metadata_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="is larger than 65536 bytes"):
        encode([make_record(valid=0, reason="x" * 100_000)], DESCRIPTION)


def test_an_older_record_that_replaces_a_damaged_one_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write_store(path, RECORDS, shard_records=4)
    newer = make_record("1.mp4", seed=1, label=1)
    write_store(path, [newer])
    shard = next(p for p in path.glob("*.h5") if b'"revision":2' in p.read_bytes())
    shard.write_bytes(shard.read_bytes().replace(b'"label":1', b'"label":0'))
    assert verify(path).older == {"1.mp4": 1}
    assert repair(path).older == {"1.mp4": 1}
    assert FeatureStore.open(path)["1.mp4"].label == 0
