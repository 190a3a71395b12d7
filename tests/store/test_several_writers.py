"""Several processes extract into one store at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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
keep_faces = sys.argv[5] == "True"
items = [VideoItem(videos / f"{n:03}.mp4", f"{n:03}.mp4") for n in range(count)]
noted = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
generator = random.Random(os.getpid())
resolved = ResolvedConfig(ExtractConfig(), None, None, FINGERPRINT, FINGERPRINT)
with (
    StoreWriter.create(store, DESCRIPTION, shard_records=8) as writer,
    FaceStoreWriter.create(faces_of(store), FACES_DESCRIPTION, shard_bytes=8000) as faces,
):
    output = ResumableWriter(StoreWriters(writer, faces if keep_faces else None), resolved)
    pending = [video for video in map(output.check, items) if isinstance(video, PendingVideo)]
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


def start(folder: Path, name: str, keep_faces: bool) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}
    arguments = [folder / "s", folder / f"{name}.log", folder / "videos", VIDEOS, keep_faces]
    return subprocess.Popen([sys.executable, "-c", RUN, *map(str, arguments)], env=environment)


def stores(folder: Path, keep_faces: bool) -> list[Path]:
    return [folder / "s", *([faces_of(folder / "s")] if keep_faces else [])]


def extracted(folder: Path) -> list[str]:
    return sorted(line for log in folder.glob("*.log") for line in log.read_text().split())


@KEEP_FACES
def test_four_writers_extract_each_video_exactly_once(folder: Path, keep_faces: bool) -> None:
    processes = [start(folder, str(number), keep_faces) for number in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    assert extracted(folder) == [f"{number:03}.mp4" for number in range(VIDEOS)]
    shares = [len(log.read_text().split()) for log in folder.glob("*.log")]
    assert sum(share > 0 for share in shares) >= 2, "one process did all the work"
    for store in stores(folder, keep_faces):
        report = verify(store)
        assert report.is_whole and report.videos == VIDEOS
        assert not report.leftovers and not report.duplicates


@KEEP_FACES
def test_claims_of_a_killed_writer_are_released(folder: Path, keep_faces: bool) -> None:
    processes = [start(folder, str(number), keep_faces) for number in range(3)]
    victim = processes[0]
    deadline = time.monotonic() + 60
    while not (folder / "0.log").exists() or (folder / "0.log").stat().st_size < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait(timeout=60) == -signal.SIGKILL
    assert [process.wait(timeout=120) for process in processes[1:]] == [0, 0]
    for store in stores(folder, keep_faces):
        report = verify(store)
        assert report.is_whole and report.videos == VIDEOS
    twice = len(extracted(folder)) - VIDEOS
    assert twice in (0, 1), "only the video in flight may be extracted again"
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
