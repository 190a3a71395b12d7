"""Several processes extract into one store at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import PATHS
from records import DESCRIPTION

from deepfake_seq.store import FeatureStore, StoreWriter, faces_of
from deepfake_seq.store.locks import Lock, Locks
from deepfake_seq.store.upkeep.verify import verify

VIDEOS = 40
KEEP_FACES = pytest.mark.parametrize(
    "keep_faces",
    [
        pytest.param(False, id="features", marks=pytest.mark.slow),
        pytest.param(True, id="faces too"),
    ],
)

RUN = """
import os, random, sys, time
from pathlib import Path
from children import PATHS
from records import DESCRIPTION, FACES_DESCRIPTION, FINGERPRINT, make_faces, make_record
from deepfake_seq.config import ExtractConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import ELSEWHERE, PendingVideo, ResumableWriter
from deepfake_seq.store import FaceStoreWriter, StoreWriter, faces_of

store, log, videos, count = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
keep_faces, seed, hold_at = sys.argv[5] == "True", int(sys.argv[6]), int(sys.argv[7])
items = [VideoItem(videos / f"{n:03}.mp4", f"{n:03}.mp4") for n in range(count)]
noted = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
generator = random.Random(seed)
resolved = ResolvedConfig(ExtractConfig(), None, None, FINGERPRINT, FINGERPRINT)
print("ready", flush=True)
sys.stdin.readline()
with (
    StoreWriter.create(store, DESCRIPTION, shard_records=8) as writer,
    FaceStoreWriter.create(faces_of(store), FACES_DESCRIPTION, shard_bytes=8000) as faces,
):
    output = ResumableWriter(StoreWriters(writer, faces if keep_faces else None), resolved)
    pending = [video for video in map(output.check, items) if isinstance(video, PendingVideo)]
    done = 0
    while pending:
        elsewhere = []
        for video in pending:
            outcome = output.claim(video)
            if outcome is not None:
                if outcome.status == ELSEWHERE:
                    elsewhere.append(video)
                continue
            item = video.item
            os.write(noted, f"{item.video_id}\\n".encode())
            done += 1
            if done == hold_at:
                print("holds a claim", flush=True)
                sys.stdin.readline()
            time.sleep(generator.uniform(0, 0.02))
            number = int(item.video_id[:3])
            if keep_faces:
                faces.commit(make_faces(item.video_id, seed=number, label=-1))
            writer.commit(make_record(item.video_id, seed=number, label=-1))
        pending = elsewhere
        time.sleep(0.02)
    if keep_faces:
        faces.seal()
    writer.seal()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for number in range(VIDEOS):
        path = tmp_path / "videos" / f"{number:03}.mp4"
        path.write_bytes(bytes(1000))
        os.utime(path, ns=(123, 123))
    return tmp_path


Process = subprocess.Popen[str]


@contextmanager
def started(
    folder: Path, number: int, keep_faces: bool, hold_at: int | None = None
) -> Iterator[list[Process]]:
    """Start processes, and wait until all have imported everything; end them after the block.

    Each begins when it is released. The first one stops while it holds the claim of its
    `hold_at`th video, until it is released again.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}
    processes: list[Process] = []
    try:
        for seed in range(number):
            log = folder / f"{seed}.log"
            settings = [keep_faces, seed, -1 if seed or hold_at is None else hold_at]
            arguments = [folder / "s", log, folder / "videos", VIDEOS, *settings]
            command = [sys.executable, "-c", RUN, *map(str, arguments)]
            pipe = subprocess.PIPE
            processes.append(
                subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
            )
        for process in processes:
            assert said(process) == "ready"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def said(process: Process) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def release(process: Process) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def stores(folder: Path, keep_faces: bool) -> list[Path]:
    return [folder / "s", *([faces_of(folder / "s")] if keep_faces else [])]


def extracted(folder: Path) -> list[str]:
    return sorted(line for log in folder.glob("*.log") for line in log.read_text().split())


@KEEP_FACES
def test_four_writers_extract_each_video_exactly_once(folder: Path, keep_faces: bool) -> None:
    with started(folder, 4, keep_faces) as processes:
        for process in processes:
            release(process)
        assert [process.wait(timeout=300) for process in processes] == [0, 0, 0, 0]
    assert extracted(folder) == [f"{number:03}.mp4" for number in range(VIDEOS)]
    shares = [len(log.read_text().split()) for log in folder.glob("*.log")]
    assert sum(share > 0 for share in shares) >= 2, "one process did all the work"
    for store in stores(folder, keep_faces):
        report = verify(store)
        assert report.is_whole and report.videos == VIDEOS
        assert not report.leftovers and not report.duplicates


@KEEP_FACES
def test_claims_of_a_killed_writer_are_released(folder: Path, keep_faces: bool) -> None:
    with started(folder, 3, keep_faces, hold_at=3) as (victim, *others):
        release(victim)
        assert said(victim) == "holds a claim"
        for process in others:
            release(process)
        victim.kill()
        assert victim.wait() == -signal.SIGKILL
        assert [process.wait(timeout=300) for process in others] == [0, 0]
    for store in stores(folder, keep_faces):
        report = verify(store)
        assert report.is_whole and report.videos == VIDEOS
    assert len(extracted(folder)) == VIDEOS + 1, "only the video in flight is extracted again"
    with StoreWriter.create(folder / "s", DESCRIPTION) as writer:
        writer.claim("x")
    assert not verify(folder / "s").leftovers
    assert len(FeatureStore.open(folder / "s")) == VIDEOS


@pytest.mark.parametrize("error", [FileNotFoundError, FileExistsError])
def test_a_writer_whose_folder_is_removed_before_it_is_locked_creates_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    locks, acquire, met = Locks(tmp_path), Lock.acquire, list[Path]()

    def unlucky(self: Lock, *, wait: bool) -> bool:
        met.extend(tmp_path.glob(".writer-*"))
        if len(met) == 1:
            met[0].rmdir()
            raise error
        return acquire(self, wait=wait)

    monkeypatch.setattr(Lock, "acquire", unlucky)
    folder = locks.writer_folder()
    assert folder.path != met[0] and folder.path.is_dir()
    folder.close()
