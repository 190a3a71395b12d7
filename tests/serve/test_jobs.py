"""The table of clips, and the folder that keeps them."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest

from deepfake_seq import atomic
from deepfake_seq.config import ExecutionConfig, PredictConfig
from deepfake_seq.predict import WeightsOverride
from deepfake_seq.serve.dispatcher import Dispatcher
from deepfake_seq.serve.jobs import ClipJob, JobTable, QueueFullError
from deepfake_seq.serve.spool import Spool
from deepfake_seq.serve.worker import PredictorConfig


def add(table: JobTable, spool: Spool, created: float = 1.0) -> ClipJob:
    name, file = spool.create()
    with file:
        file.write(b"a clip")
    job = ClipJob(name, "clip.mp4", "runs/x", created, 6)
    table.add(job)
    return job


def test_uploads_and_clips_that_are_not_done_count(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        table = JobTable(spool, limit=2)
        table.start_upload()
        job = add(table, spool)
        with pytest.raises(QueueFullError):
            table.start_upload()
        table.end_upload()
        table.start_upload()
        table.finish(job.id, state="done")
        table.start_upload()
        with pytest.raises(QueueFullError):
            table.start_upload()


def test_removing_many_old_results_does_not_block(tmp_path: Path) -> None:
    """Each removal wakes the dispatcher, which may be the one that removes them."""
    config = PredictorConfig(ExecutionConfig(), WeightsOverride(), PredictConfig())
    with Spool(tmp_path) as spool:
        dispatcher = Dispatcher(JobTable(spool, limit=9), spool, config, keep_seconds=0)
        waking = threading.Thread(
            target=lambda: [dispatcher.wake() for _ in range(20_000)], daemon=True
        )
        waking.start()
        waking.join(timeout=60)
        assert not waking.is_alive()


def test_clips_are_found_again_in_their_order(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        table = JobTable(spool, limit=9)
        jobs = [add(table, spool, created=9.0 - number) for number in range(4)]
        table.update(jobs[0].id, state="running", stage="cnn")
        table.finish(jobs[1].id, state="done", result={"verdict": "real"}, explanation=("So.",))
    with Spool(tmp_path) as spool:
        again = JobTable(spool, limit=9)
        assert [job.id for job in again.queued()] == [jobs[3].id, jobs[2].id, jobs[0].id]
        assert again.position(again.queued()[2]) == 2
        done = again.get(jobs[1].id)
        assert done is not None and done == table.get(jobs[1].id)


def test_unfinished_uploads_and_damaged_files_are_removed(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.create()[1].close()
        kept, damaged = (add(JobTable(spool, limit=9), spool) for _ in range(2))
        (tmp_path / f"{damaged.id}.json").write_text("{")
        forged = {**json.loads((tmp_path / f"{kept.id}.json").read_text()), "id": "../../evil"}
        (tmp_path / f"{kept.id}.json").write_text(json.dumps(forged))
        table = JobTable(spool, limit=9)
        assert [job.id for job in table.queued()] == [kept.id]
        names = {path.name for path in tmp_path.iterdir()} - {"lock"}
        assert names == {f"{kept.id}.json", f"{kept.id}.clip"}


def test_old_results_and_the_oldest_of_too_many_are_deleted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        table = JobTable(spool, limit=9, max_results=2)
        jobs = [add(table, spool) for _ in range(5)]
        for job in jobs[:3]:
            table.finish(job.id, state="done")
        table.remove_old(seconds=60)
        assert [table.get(job.id) is None for job in jobs] == [True, False, False, False, False]
        table.remove_old(seconds=-60)
        assert [job.id for job in table.queued()] == [job.id for job in jobs[3:]]
        assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.clip"))) == 2


def test_the_oldest_of_too_many_reports_are_deleted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        table = JobTable(spool, limit=9, max_report_bytes=10)
        jobs = [add(table, spool) for _ in range(3)]
        for job in jobs:
            table.finish(job.id, (b"page", b"{}"), state="done")
        table.remove_old(seconds=60)
        kept = [table.get(job.id) for job in jobs]
        assert [job.report_bytes for job in kept if job] == [0, 0, 6]
        assert sorted(path.name for path in tmp_path.glob(f"{jobs[2].id}*")) == [
            f"{jobs[2].id}.{kind}" for kind in ("html", "json", "report")
        ]
        assert len(list(tmp_path.glob("*.html"))) == 1


def test_a_report_that_cannot_be_saved_does_not_lose_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Spool(tmp_path) as spool:
        table = JobTable(spool, limit=9)
        job = add(table, spool)
        monkeypatch.setattr(atomic, "write_bytes", full)
        table.finish(job.id, (b"page", b"{}"), state="done")
        done = table.get(job.id)
    assert done is not None and (done.state, done.report_bytes) == ("done", 0)
    assert "a report cannot be saved: No space left on device" in caplog.text


def test_only_the_owner_can_read_clips(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        name, file = spool.create()
        file.close()
        assert spool.folder.stat().st_mode & 0o777 == 0o700
        assert spool.clip(name).stat().st_mode & 0o777 == 0o600


def test_a_full_disk_does_not_lose_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Spool(tmp_path) as spool:
        table = JobTable(spool, limit=9)
        job = add(table, spool)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(atomic, "write_json", full)
        table.finish(job.id, state="done", result={"verdict": "real"})
        done = table.get(job.id)
        assert done is not None and done.result == {"verdict": "real"}
        assert "a result cannot be saved: No space left on device" in caplog.text
        assert not spool.clip(job.id).exists()
