"""Removing and renaming records: crashes, other writers, damage."""

from __future__ import annotations

import contextlib
import errno
import random
import re
import shutil
from pathlib import Path
from typing import Any

import changing
import pytest
from changing import RECORDS, REMOVED, RENAMED
from children import SUPPORT, run_script
from disk import failing_at, watching
from power_loss import PowerLoss
from records import FEATURES, StoreKind, make_record, payload, write_store

from deepfake_seq.errors import StoreError
from deepfake_seq.store import FeatureStore, faces_of
from deepfake_seq.store.rewriting import JOURNAL
from deepfake_seq.store.upkeep.remove import remove
from deepfake_seq.store.upkeep.repair import repair
from deepfake_seq.store.upkeep.verify import verify

ALL = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Path:
    changing.prepare(tmp_path / "s")
    return tmp_path / "s"


def test_remove_deletes_people_views_faces_and_older_revisions(store: Path) -> None:
    before = changing.contents(store)
    data = [payload(record) for record in RECORDS if record.video_id.startswith("1.mp4")]
    assert all(content in changing.file_bytes(store) for content in data)
    removal = remove(store, ["1.mp4"])
    assert removal == (("1.mp4",), 2, 1, 9)
    gone = {"features 1.mp4", "features 1.mp4@view1", "faces 1.mp4"}
    assert changing.contents(store) == {
        name: content for name, content in before.items() if name not in gone
    }
    assert not any(content in changing.file_bytes(store) for content in data)
    assert verify(store).is_whole and not verify(store).leftovers


def test_a_renamed_record_keeps_everything_but_its_name(store: Path) -> None:
    before = {record.video_id: record for record in FeatureStore.open(store)}
    changing.give_new_names(store)
    after = FeatureStore.open(store)
    assert set(after.video_ids) == {RENAMED.get(name, name) for name in before}
    view = after["new/2.mp4@view1"]
    assert view.facts["view"]["of"] == "new/2.mp4"
    assert (view.features == before["2.mp4@view1"].features).all()


@pytest.mark.parametrize(("every", "crashes"), [(19, 4), pytest.param(1, 60, marks=ALL)])
@pytest.mark.parametrize("change", ["take_out", "give_new_names"])
def test_a_process_that_ends_at_any_step_loses_nothing_and_the_next_run_completes_it(
    tmp_path: Path, change: str, every: int, crashes: int
) -> None:
    output = run_script(SUPPORT / "crashing_changes.py", tmp_path, change, every)
    assert int(output) >= crashes


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux to follow files")
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=ALL)])
def test_a_power_failure_at_any_step_loses_no_other_record(tmp_path: Path, every: int) -> None:
    generator = random.Random(0)
    path = tmp_path / "s"
    write_store(path, RECORDS[:6], shard_records=4)
    before = {record.video_id: record.sha256 for record in FeatureStore.open(path)}
    disk = PowerLoss.of(path)
    states: list[Path] = []
    steps = 0

    def step(name: str, *arguments: Any) -> None:
        nonlocal steps
        steps += 1
        for _ in range(3 if steps % every == 0 else 0):
            states.append(tmp_path / "states" / f"{len(states)}")
            disk.write_state(states[-1], generator)
        disk.apply(name, *arguments)

    with watching(step):
        remove(path, ["1.mp4", "4.mp4"])
    after = {record.video_id: record.sha256 for record in FeatureStore.open(path)}
    assert before.keys() - after.keys() == {"1.mp4", "4.mp4"}
    assert len(states) > 60 / every
    for state in states:
        found = {record.video_id: record.sha256 for record in FeatureStore.open(state)}
        assert after.items() <= found.items() <= before.items(), state
        with FEATURES.writer.create(state, FEATURES.description) as writer:
            writer.initialise()  # completes the removal if it had begun
        found = {record.video_id: record.sha256 for record in FeatureStore.open(state)}
        assert found in (before, after), state
        assert not (state / JOURNAL).exists()


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=ALL)])
def test_a_full_disk_is_reported_and_the_next_removal_completes(tmp_path: Path, every: int) -> None:
    changing.prepare(tmp_path / "original")
    before = changing.contents(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "whole")
    changing.take_out(tmp_path / "whole")
    after = changing.contents(tmp_path / "whole")
    for step in range(0, 60, every):
        path = tmp_path / f"{step}"
        shutil.copytree(tmp_path / "original", path)
        with failing_at(step, errno.ENOSPC), pytest.raises(StoreError, match="No space left"):
            changing.take_out(path)
        assert after.items() <= changing.contents(path).items() <= before.items()
        changing.complete(path)
        with contextlib.suppress(StoreError):  # removed already
            changing.take_out(path)
        assert changing.contents(path) == after
        assert verify(path).is_whole and not verify(path).leftovers


def test_an_interrupted_removal_can_be_repeated(store: Path) -> None:
    def stop(name: str, *arguments: Any) -> None:
        if name == "unlink" and Path(arguments[0]).parent == store:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watching(stop):
        remove(store, REMOVED)
    assert (store / JOURNAL).exists()
    assert remove(store, REMOVED).videos == REMOVED  # no error: the ids are completed now
    assert not {"1.mp4", "6.mp4"} & set(FeatureStore.open(store).video_ids)
    with pytest.raises(StoreError, match=re.escape("has no video 1.mp4, 6.mp4")):
        remove(store, REMOVED)


def test_nothing_is_removed_while_another_run_is_writing(store: Path, kind: StoreKind) -> None:
    folder = store if kind is FEATURES else faces_of(store)
    before = changing.contents(store)
    with kind.writer.create(folder, kind.description) as other:
        other.claim("elsewhere.mp4")
        with pytest.raises(StoreError, match="another run is writing to"):
            remove(folder, ["1.mp4"])
        assert changing.contents(store) == before
    assert remove(folder, ["1.mp4"]).videos == ("1.mp4",)


def test_a_writer_that_is_open_while_records_are_renamed_reads_and_commits_on(
    store: Path,
) -> None:
    with FEATURES.writer.create(store, FEATURES.description, shard_records=4) as other:
        assert other.claim("3.mp4")
        changing.give_new_names(store)  # 3.mp4 is in the same shard as 2.mp4
        assert other["3.mp4"].sha256 == RECORDS[3].sha256
        other.commit(make_record("3.mp4", seed=33))
        other.seal()
    found = FeatureStore.open(store)
    assert found["3.mp4"].revision == 2 and "new/2.mp4" in found and "2.mp4" not in found
    assert verify(store).is_whole


def test_nothing_is_removed_from_a_damaged_shard_until_it_is_repaired(store: Path) -> None:
    content = payload(RECORDS[3])
    shard = next(path for path in store.glob("*.h5") if content in path.read_bytes())
    data = bytearray(shard.read_bytes())
    data[data.index(content)] ^= 1
    shard.write_bytes(bytes(data))
    names = FeatureStore.open(store).video_ids
    with pytest.raises(StoreError, match=re.escape("3.mp4: ")) as caught:
        remove(store, ["2.mp4"])
    assert f"deepseq verify --repair {store}" in str(caught.value)
    assert FeatureStore.open(store).video_ids == names and not (store / JOURNAL).exists()
    remove(store, ["3.mp4"])  # the damaged record itself
    assert verify(store).is_whole
    assert not repair(store).quarantined


def test_a_damaged_journal_is_reported_with_what_to_do(store: Path) -> None:
    (store / JOURNAL).write_text("{")
    with pytest.raises(StoreError, match="Delete it, and remove the videos again"):
        remove(store, ["1.mp4"])
    (store / JOURNAL).unlink()
    remove(store, ["1.mp4"])


def test_an_empty_store_remains_a_store(tmp_path: Path) -> None:
    write_store(tmp_path / "s", RECORDS[:2])
    assert remove(tmp_path / "s", ["0.mp4", "1.mp4"]).remaining == 0
    assert len(FeatureStore.open(tmp_path / "s")) == 0
    assert list((tmp_path / "s").glob("*.h5")) == []
