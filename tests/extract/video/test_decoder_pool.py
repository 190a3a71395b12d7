"""The pool of decoding processes."""

from __future__ import annotations

import errno
import gc
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from children import decoding_processes, run_script
from clips import number_in, write_clip

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import EngineError, VideoError
from deepfake_seq.extract.video import isolated_process, shared_memory
from deepfake_seq.extract.video.decode import DecodedVideo, decode
from deepfake_seq.extract.video.decoder_pool import Decoders, default_workers
from deepfake_seq.extract.video.isolated_process import IsolatedProcess

FOUR = SamplingConfig(frames=4)
LIMITS = LimitsConfig()


def items_in(folder: Path, count: int) -> list[VideoItem]:
    """Clips of 8, 9, 10 … frames."""
    return [
        VideoItem(write_clip(folder / f"{number}.mp4", 8 + number), f"{number}.mp4")
        for number in range(count)
    ]


def decode_all(decoders: Decoders, items: list[VideoItem]) -> list[tuple[VideoItem, DecodedVideo]]:
    """Decode with one thread per process."""
    with ThreadPoolExecutor(decoders.workers) as threads:
        videos = threads.map(lambda item: decoders.decode(item.path), items)
        return list(zip(items, videos, strict=True))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_video_is_returned_once_with_its_own_frames(count: int, tmp_path: Path) -> None:
    items = items_in(tmp_path, count)
    with Decoders(2, FOUR, LIMITS) as decoders:
        results = decode_all(decoders, items)
    assert sorted(item.video_id for item, _ in results) == [item.video_id for item in items]
    for item, video in results:
        assert video.facts["frames_total"] == 8 + int(item.path.stem)
        assert video.frames is not None
        decoded = [number_in(image) for image in video.frames.images_rgb]
        assert decoded == video.frames.frame_index.tolist()
    assert not decoding_processes()


def test_processes_can_be_started_before_the_first_video(tmp_path: Path) -> None:
    (item,) = items_in(tmp_path, 1)
    with Decoders(2, FOUR, LIMITS) as decoders:
        decoders.start()
        started = decoding_processes()
        assert len(started) == 2
        assert decoders.decode(item.path).status == "ok"
        assert decoding_processes() == started
    assert not decoding_processes()


def test_a_process_that_dies_before_its_first_call_is_replaced(tmp_path: Path) -> None:
    (item,) = items_in(tmp_path, 1)
    with Decoders(1, FOUR, LIMITS) as decoders:
        decoders.start()
        (pid,) = decoding_processes()
        os.kill(pid, signal.SIGKILL)
        assert decoders.decode(item.path).status == "ok"


def test_a_script_need_not_check_its_name(tmp_path: Path) -> None:
    """Processes of `multiprocessing` import the script that started them."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert run_script(script, write_clip(tmp_path / "clip.mp4", 8)) == "ok\n"


SCRIPT = """
import sys
from pathlib import Path
from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.extract.video.decoder_pool import Decoders

with Decoders(1, SamplingConfig(frames=4), LimitsConfig()) as decoders:
    print(decoders.decode(Path(sys.argv[1])).status)
"""


def test_frames_from_another_process_are_the_same(tmp_path: Path) -> None:
    (item,) = items_in(tmp_path, 1)
    here = decode(item.path, FOUR)
    with Decoders(1, FOUR, LIMITS) as decoders:
        there = decoders.decode(item.path)
        again = decoders.frames_at(item.path, [1, 5])
    assert here.frames is not None and there.frames is not None and again is not None
    np.testing.assert_array_equal(here.frames.images_rgb, there.frames.images_rgb)
    assert all(image.flags.writeable for image in there.frames.images_rgb)
    assert (here.source, here.facts) == (there.source, there.facts)
    assert [number_in(image) for image in again.images_rgb] == [1, 5]


def test_a_broken_file_only_fails_itself(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    items = [VideoItem(broken, "broken.mp4"), *items_in(tmp_path, 2)]
    with Decoders(2, FOUR, LIMITS) as decoders:
        statuses = {item.video_id: video.status for item, video in decode_all(decoders, items)}
    assert statuses == {"broken.mp4": "decode_error", "0.mp4": "ok", "1.mp4": "ok"}


def test_one_worker_per_core_and_at_most_32(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, workers in ((1, 1), (2, 2), (64, 32)):
        monkeypatch.setattr(
            "deepfake_seq.extract.video.decoder_pool.cores", lambda count=count: count
        )
        assert default_workers() == workers


@pytest.mark.parametrize(
    ("name", "status", "reason", "transient"),
    [
        ("segfault.mp4", "decode_error", "was killed by SIGSEGV, twice", False),
        ("killed.mp4", "decode_error", "was killed by SIGKILL, twice", True),
        ("exit.mp4", "decode_error", "ended with exit code 7, twice", False),
        pytest.param(
            "hang.mp4",
            "timeout",
            "decoding took longer than 20 s; try --timeout 240",
            True,
            marks=pytest.mark.slow,
        ),
        (
            "hungry.mp4",
            "decode_error",
            "out of memory: decoding needs more than 2 GiB; try --memory 4",
            True,
        ),
        ("once.mp4", "ok", "", False),
        ("loud.mp4", "ok", "", False),
    ],
)
def test_a_file_that_breaks_its_process_only_fails_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    status: str,
    reason: str,
    transient: bool,
) -> None:
    monkeypatch.setattr("deepfake_seq.extract.video.decoder_pool.decode.decode", hostile.decode)
    bad = VideoItem(write_clip(tmp_path / name, 8), name)
    before, *after = items_in(tmp_path, 4)
    limits = LimitsConfig(seconds=20.0 if status == "timeout" else 60.0)
    with Decoders(2, FOUR, limits) as decoders:
        results = dict(decode_all(decoders, [before, bad, *after]))
    assert {item.video_id for item in results} == {name, *(f"{n}.mp4" for n in range(4))}
    failed = results.pop(bad)
    assert failed.status == status
    assert reason in failed.reason
    assert failed.transient == transient
    assert failed.source.size_bytes == bad.path.stat().st_size
    assert {video.status for video in results.values()} == {"ok"}
    assert capfd.readouterr() == ("", "")
    assert not decoding_processes()


def test_a_file_that_killed_two_processes_is_not_retried(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = IsolatedProcess(LIMITS)
    with pytest.raises(VideoError, match="twice"):
        process.call(note_and_die, log)
    assert log.read_text() == "xx"
    process.close()


def note_and_die(log: Path) -> None:
    with log.open("a") as file:
        file.write("x")
    os._exit(1)


def test_a_dead_process_is_replaced() -> None:
    process = IsolatedProcess(LIMITS)
    with pytest.raises(VideoError):
        process.call(os._exit, 3)
    assert process.call(os.path.basename, "a/b") == "b"
    process.close()


def test_a_process_killed_between_calls_is_restarted() -> None:
    process = IsolatedProcess(LIMITS)
    pid = process.call(os.getpid)
    os.kill(pid, 9)
    assert process.call(os.getpid) != pid
    process.close()


def test_a_result_that_cannot_be_received_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process lives on: waiting for its end would be a timeout."""
    monkeypatch.setattr(isolated_process, "DYING_SECONDS", 0.1)
    receive, errors = shared_memory.receive, [OSError(errno.EMFILE, "Too many open files")]

    def failing_once(connection: Connection) -> Any:
        value = receive(connection)
        if errors:
            raise errors.pop()
        return value

    monkeypatch.setattr(shared_memory, "receive", failing_once)
    process = IsolatedProcess(LimitsConfig(seconds=30.0))
    assert process.call(os.path.basename, "a/b") == "b"
    process.close()


def test_closing_does_not_wait_for_a_call() -> None:
    process = IsolatedProcess(LIMITS)
    process.call(time.sleep, 0)  # start-up
    errors: list[BaseException] = []

    def call() -> None:
        try:
            process.call(time.sleep, 600)
        except VideoError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(1.0)
    process.close()
    thread.join(timeout=30)
    assert len(errors) == 1
    assert not decoding_processes()


@pytest.mark.parametrize("spare", [0, 2, 4])
def test_only_a_failed_process_start_raises(spare: int) -> None:
    with (
        pytest.raises(EngineError, match="could not be started: Too many open files"),
        open_files_limited(spare),
        Decoders(1, FOUR, LIMITS) as decoders,
    ):
        decoders.decode(Path("missing.mp4"))
    assert not decoding_processes()


def test_a_process_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    message = "could not be started: the decoding process ended with exit code 1, twice"
    with pytest.raises(EngineError, match=message), Decoders(1, FOUR, LIMITS) as decoders:
        decoders.decode(Path("missing.mp4"))


@contextmanager
def open_files_limited(spare: int) -> Iterator[None]:
    """Allow this process to open only `spare` more files."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # files in reference cycles of other tests would be closed in the block
    with ExitStack() as stack:
        highest = max(int(file.name) for file in Path("/dev/fd").iterdir())
        while (file := stack.enter_context(Path(os.devnull).open())).fileno() < highest:
            pass  # the limit is of numbers, and lower ones may be free
        resource.setrlimit(resource.RLIMIT_NOFILE, (file.fileno() + 1 + spare, most))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (usual, most))
        yield


def test_the_memory_of_a_process_is_limited() -> None:
    process = IsolatedProcess(LimitsConfig(memory_bytes=1 << 30))
    assert process.call(can_take, 1 << 28)
    assert not process.call(can_take, 1 << 30)
    process.close()


def can_take(size: int) -> bool:
    try:
        return len(bytearray(size)) == size
    except MemoryError:
        return False
