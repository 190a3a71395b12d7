"""Crashes at any step: committed records survive, and the next run completes the store."""

from __future__ import annotations

import errno
import os
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import faces_run
import pytest
import small_run
from children import BENCHMARKS, SUPPORT, run_script
from disk import failing_at, watching
from power_loss import PowerLoss

from deepfake_seq.errors import StoreError
from deepfake_seq.store import Record
from deepfake_seq.store.upkeep.verify import verify

ALL = pytest.mark.slow
RUNS = pytest.mark.parametrize("run", [small_run, faces_run], ids=lambda run: run.__name__)


def possible(run: ModuleType) -> dict[str, list[str]]:
    """Return the possible digests of each video's record, in the order of the commits."""
    digests = {record.video_id: [record.sha256.hex()] for record in run.RECORDS}
    newer = run.RELABELLED
    digests[newer.video_id].append(replace(newer, revision=2).sha256.hex())
    return digests


@pytest.mark.parametrize(("every", "crashes"), [(9, 7), pytest.param(1, 60, marks=ALL)])
@RUNS
def test_a_process_that_ends_at_any_step_loses_no_committed_record(
    tmp_path: Path, run: ModuleType, every: int, crashes: int
) -> None:
    assert int(run_script(SUPPORT / "crashing.py", tmp_path, run.__name__, every)) >= crashes


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=ALL)])
def test_killed_writers_lose_no_committed_record(kills: int) -> None:
    output = run_script(BENCHMARKS / "kills.py", kills)
    assert f"{kills} kills" in output
    assert "0 committed records lost, 0 torn records read" in output


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux to follow files")
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=ALL)])
@RUNS
def test_a_power_failure_at_any_step_loses_no_committed_record(
    tmp_path: Path, run: ModuleType, every: int
) -> None:
    generator = random.Random(0)
    disk = PowerLoss(tmp_path / "run")
    committed: dict[str, str] = {}
    states: list[tuple[Path, dict[str, str]]] = []
    steps = 0

    def before(step: str, *arguments: Any) -> None:
        nonlocal steps
        steps += 1
        for _ in range(3 if steps % every == 0 else 0):
            state = tmp_path / "states" / f"{len(states)}"
            disk.write_state(state, generator)
            states.append((state, dict(committed)))
        disk.apply(step, *arguments)

    def on_commit(record: Record) -> None:
        revision = 2 if record is run.RELABELLED else 1
        committed[record.video_id] = replace(record, revision=revision).sha256.hex()

    with watching(before):
        run.small_run(disk.folder, on_commit)
    expected, histories = run.contents(disk.folder), possible(run)
    assert len(states) > 200 / every
    for number, (state, certain) in enumerate(states):
        digests = run.contents(state)
        for video_id, digest in certain.items():
            history = histories[video_id]  # the current commit may be complete or not
            assert digests[video_id] in history[history.index(digest) :], state
        assert all(digests[video_id] in histories[video_id] for video_id in digests), state
        if number % 3 == 0:
            run.small_run(state)
            assert run.contents(state) == expected, state


@pytest.mark.parametrize(
    ("number", "every"),
    [
        (errno.ENOSPC, 20),
        *(pytest.param(number, 4, marks=ALL) for number in (errno.ENOSPC, errno.EIO, errno.EROFS)),
    ],
)
@RUNS
def test_a_disk_error_is_reported_and_the_next_run_completes(
    tmp_path: Path, number: int, every: int, run: ModuleType
) -> None:
    run.small_run(tmp_path / "whole")
    expected = run.contents(tmp_path / "whole")
    for step in range(0, 80, every):
        path = tmp_path / f"{step}"
        committed: list[str] = []
        message = re.escape(os.strerror(number))
        with failing_at(step, number), pytest.raises(StoreError, match=message) as caught:
            run.small_run(path, noting(committed))
        assert str(path) in str(caught.value)
        assert committed == list(run.contents(path))[: len(committed)]
        run.small_run(path)
        assert run.contents(path) == expected
        assert verify(path).is_whole
        assert not verify(path).leftovers


def noting(committed: list[str]) -> Callable[[Record], None]:
    return lambda record: committed.append(record.video_id)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_write_permission_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        small_run.small_run(tmp_path / "s")
    tmp_path.chmod(0o700)


@RUNS
def test_a_file_above_the_size_limit_is_reported(tmp_path: Path, run: ModuleType) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1]))  # less than a sealed shard
        with pytest.raises(StoreError, match="File too large"):
            run.small_run(tmp_path / "s")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    run.small_run(tmp_path / "whole")
    expected = run.contents(tmp_path / "whole")
    assert all(
        digest in possible(run)[name] for name, digest in run.contents(tmp_path / "s").items()
    )
    run.small_run(tmp_path / "s")
    assert run.contents(tmp_path / "s") == expected
