"""The Ray engine, with nodes on this machine, some of which are killed or fail their check."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from children import DECODER
from clips import write_clip
from mean_cnn import CONFIG
from waiting import until

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.errors import EngineError, StoreError, UsageError
from deepfake_seq.extract.engines import Job, cluster
from deepfake_seq.extract.engines.ray import RayEngine
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FeatureStore
from deepfake_seq.store.upkeep.verify import verify

CLIPS, MANY = 24, 96
SMALL = ("--detector", "none", "--weights", "untrained", "--frames", "4")
MARK = "DEEPSEQ_TEST_RAY"
WORKER = "ray::ExtractWorker"

MakeJob = Callable[[str], Job]


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A mark in the environment of all processes of the test; they are killed at its end."""
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield str(tmp_path)
    for pid in marked_processes(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def nodes(marked: str) -> Iterator[Any]:
    """A Ray cluster of two nodes with one processor each."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    two = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        two.add_node(**small)
        yield two
    finally:
        two.shutdown()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Clips, and a file that is not a video."""
    for number in range(CLIPS):
        folder = tmp_path / "videos" / ("real", "fake")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"{number:02}.mp4", 8)
    (tmp_path / "videos" / "real" / "bad.mp4").write_text("no video")
    return tmp_path / "videos"


@pytest.fixture
def job() -> MakeJob:
    """Returns a function that makes a job for the cluster at an address."""

    def make(address: str) -> Job:
        execution = ExecutionConfig(workers=1, engine="ray", address=address)
        return Job(resolve(CONFIG), execution, False, 9)

    return make


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[ResumableWriter]:
    resolved = resolve(CONFIG)
    with StoreWriters.create(tmp_path / "store", resolved) as writers:
        yield ResumableWriter(writers, resolved)


@pytest.fixture
def clips(tmp_path: Path) -> list[PendingVideo]:
    """Four clips."""
    paths = [write_clip(tmp_path / f"{number}.mp4", 6) for number in range(4)]
    return [PendingVideo(VideoItem(path, path.name, FAKE), 0) for path in paths]


def outcomes_of(engine: RayEngine, videos: list[PendingVideo]) -> dict[str, Outcome]:
    """Return the outcome of each video; wait for videos that are claimed elsewhere."""
    outcomes: dict[str, Outcome] = {}
    while len(outcomes) < len(videos):
        left = [video for video in videos if video.item.video_id not in outcomes]
        outcomes |= {
            outcome.video_id: outcome for outcome in engine.run(left) if outcome.status != ELSEWHERE
        }
    return outcomes


@contextmanager
def every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` repeatedly in another thread."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(seconds):
            action()

    with ThreadPoolExecutor(1) as thread:
        repeating = thread.submit(repeat)
        try:
            yield
        finally:
            is_over.set()
            repeating.result()


def extract(videos: Path, *options: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start `deepseq extract --engine ray`."""
    command = [sys.executable, "-m", "deepfake_seq", "extract", str(videos), "--json", *SMALL]
    command += ["--engine", "ray", "--out", str(videos.parent / "store"), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
    )


def marked_processes(mark: str, named: str = "") -> list[int]:
    """Return processes with the mark, except this one, whose command line contains `named`."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        marked = f"{MARK}={mark}".encode() in environment.split(b"\0")
        if marked and named in command and int(folder.name) != os.getpid():
            pids.append(int(folder.name))
    return pids


def claiming_processes(mark: str) -> int:
    """Return the number of marked processes that hold the claim of a video."""
    count = 0
    for pid in marked_processes(mark):
        with suppress(OSError):
            files = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
            count += any("/.locks/video-" in str(file) for file in files)
    return count


def kill_all(mark: str, named: str) -> None:
    """Kill the processes returned by `marked_processes`."""
    for pid in marked_processes(mark, named):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def committed(folder: Path) -> int:
    try:
        return len(FeatureStore.open(folder))
    except Exception:  # noqa: BLE001 - the store is being created
        return 0


@pytest.mark.slow
def test_a_killed_node_only_repeats_its_current_videos(
    nodes: Any, videos: Path, tmp_path: Path
) -> None:
    run = extract(videos, "--address", nodes.address, "--profile")
    mark = str(tmp_path)
    until(lambda: claiming_processes(mark) == 2)
    (killed,) = nodes.worker_nodes
    nodes.remove_node(killed, allow_graceful=False)
    assert committed(tmp_path / "store") < CLIPS, "it was killed too late"
    output, messages = run.communicate(timeout=300)
    assert run.returncode == 3, messages
    result = json.loads(output)
    (lost,) = [line for line in messages.splitlines() if " lost a process (" in line]
    assert lost.endswith("videos are queued again")
    back = int(lost.split(";")[-1].split()[0])
    assert back > 0

    assert (result["ok"], result["failed"], result["skipped"]) == (CLIPS, 1, 0)
    with FeatureStore.open(tmp_path / "store") as store:
        assert len(store) == CLIPS + 1
        assert {record.revision for record in store} == {1}
    assert verify(tmp_path / "store").is_whole
    decoded = result["profile"]["stages"]["decode"]["done"]
    assert CLIPS + 1 - back <= decoded <= CLIPS + 1 + back
    assert "real/bad.mp4: decode_error" in messages
    assert "Raylet" not in messages


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_its_decoders_end(
    marked: str, videos: Path, tmp_path: Path
) -> None:
    """The command starts Ray and stops it."""
    run = extract(videos, "--address", "local")
    until(lambda: committed(tmp_path / "store") >= 2)
    until(lambda: len(marked_processes(marked, WORKER)) == 1)
    (actor,) = marked_processes(marked, WORKER)
    decoders = marked_processes(marked, DECODER)
    assert decoders
    os.kill(actor, signal.SIGKILL)
    until(lambda: not set(decoders) & set(marked_processes(marked)))
    output, messages = run.communicate(timeout=300)
    assert run.returncode == 3, messages
    result = json.loads(output)
    assert (result["ok"], result["failed"], result["skipped"]) == (CLIPS, 1, 0)
    assert " lost a process (" in messages
    until(lambda: not marked_processes(marked))


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_process_and_can_be_resumed(
    marked: str, videos: Path, tmp_path: Path
) -> None:
    for number in range(CLIPS, MANY):  # so that the interrupt is not too late
        write_clip(videos / "real" / f"{number:02}.mp4", 8)
    run = extract(videos, "--address", "local")
    until(lambda: committed(tmp_path / "store") >= 2)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=300)
    assert run.returncode == 1
    until(lambda: not marked_processes(marked))
    before = committed(tmp_path / "store")
    assert 2 <= before < MANY + 1
    run = extract(videos, "--engine", "local")
    output, messages = run.communicate(timeout=300)
    assert run.returncode in (0, 3), messages  # the bad file may have failed in the first run
    result = json.loads(output)
    assert (result["skipped"], result["ok"] + result["failed"]) == (before, MANY + 1 - before)
    assert list((tmp_path / "store").glob(".writer-*")) == []


@pytest.mark.slow
def test_a_stopped_cluster_is_not_waited_for(
    marked: str, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray remembers the address of a cluster that was killed."""
    with TemporaryDirectory(prefix="ray") as folder, socket.create_server(("127.0.0.1", 0)) as gone:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        remembered = Path(folder) / "ray" / "ray_current_cluster"
        remembered.parent.mkdir()
        remembered.write_text(f"127.0.0.1:{gone.getsockname()[1]}")
        gone.close()
        output, messages = extract(videos).communicate(timeout=300)
    assert json.loads(output)["ok"] == CLIPS, messages


@pytest.mark.slow
def test_ray_status_shows_processes_that_do_not_fit(
    nodes: Any, videos: Path, tmp_path: Path
) -> None:
    """An autoscaler starts machines for this demand; the cluster has two processors."""
    for number in range(300):
        (videos / "fake" / f"more{number}.mp4").hardlink_to(videos / "fake" / "01.mp4")
    run = extract(videos, "--address", nodes.address)
    command = [Path(sys.executable).with_name("ray"), "status", "--address", nodes.address]

    def demand() -> int:
        status = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        pending = re.search(r"{'CPU': 1\.0}: (\d+)\+ pending tasks/actors", status)
        return int(pending[1]) if pending else 0

    until(lambda: committed(tmp_path / "store") >= 2)
    until(lambda: len(marked_processes(str(tmp_path), WORKER)) == 2)
    until(lambda: 1 <= demand() <= 325 // 64)
    nodes.add_node(num_cpus=1, object_store_memory=80 << 20)
    until(lambda: len(marked_processes(str(tmp_path), WORKER)) == 3)  # it is put to work
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=300)
    until(lambda: demand() == 0)


@pytest.mark.slow
def test_each_process_reserves_the_smallest_node_or_one_gpu(marked: str) -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
    two = Cluster(initialize_head=True, head_node_args=head)
    try:
        two.add_node(num_cpus=8, num_gpus=2, object_store_memory=80 << 20)
        with cluster.connected(two.address):
            assert cluster.share_of_process("openvino") == (2, 0)
            assert sorted(cluster.processes_per_node(cluster.Share(2, 0)).values()) == [1, 4]
            assert cluster.share_of_process("keras") == (4, 1)
            assert sorted(cluster.processes_per_node(cluster.Share(4, 1)).values()) == [0, 2]
    finally:
        two.shutdown()


# Nodes that fail their check.


@pytest.fixture
def other_version(tmp_path: Path) -> dict[str, str]:
    """The environment of a node on which another version of deepseq is installed."""
    package = tmp_path / "other" / "deepfake_seq"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '0.0'")
    return {"PYTHONPATH": str(package.parent)}


@pytest.mark.slow
def test_a_node_that_fails_its_check_is_excluded_without_losing_videos(
    nodes: Any, videos: Path, other_version: dict[str, str]
) -> None:
    nodes.remove_node(*nodes.worker_nodes)
    nodes.add_node(num_cpus=1, object_store_memory=80 << 20, env_vars=other_version)
    run = extract(videos, "--address", nodes.address, cwd=videos)
    output, messages = run.communicate(timeout=300)
    assert run.returncode == 3, messages
    result = json.loads(output)
    assert (result["ok"], result["failed"], result["skipped"]) == (CLIPS, 1, 0)
    assert messages.count("node excluded: ") == 1
    assert re.search(
        r"node excluded: \S+ \(\w+\): ImportError: deepseq 0\.0 is installed there", messages
    )
    assert "videos are queued again" not in messages


@pytest.mark.slow
def test_a_run_without_usable_nodes_fails_and_names_them(
    marked: str,
    other_version: dict[str, str],
    job: MakeJob,
    writer: ResumableWriter,
    clips: list[PendingVideo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.chdir(tmp_path)  # processes look for packages where the driver is
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "env_vars": other_version}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        expected = r"no machine .* is left \(.* deepseq 0\.0 is installed there.* was added for 2 s"
        with (
            RayEngine(job(cluster.address), writer, patience_seconds=2.0) as engine,
            pytest.raises(EngineError, match=expected),
        ):
            list(engine.run(clips))
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_a_run_without_nodes_fails_and_keeps_committed_records(
    marked: str, job: MakeJob, writer: ResumableWriter, clips: list[PendingVideo]
) -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    only = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    reported = []
    try:
        with (
            RayEngine(job(cluster.address), writer, patience_seconds=2.0) as engine,
            pytest.raises(EngineError, match=r"no machine with 1 or more processors is left, and"),
        ):
            for outcome in engine.run(clips):
                reported.append(outcome.video_id)
                cluster.remove_node(only, allow_graceful=False)
    finally:
        cluster.shutdown()
    assert reported
    assert set(reported) <= set(FeatureStore.open(writer.writers.features.path).video_ids)


# Processes that die.


@pytest.mark.slow
def test_a_video_that_kills_its_processes_fails_and_is_retried_by_the_next_run(
    marked: str, job: MakeJob, writer: ResumableWriter, clips: list[PendingVideo]
) -> None:
    """The process is killed whenever it holds the claim of one video."""
    with (
        StoreWriters.create(writer.writers.features.path, resolve(CONFIG)) as other,
        RayEngine(job("local"), writer) as engine,
    ):

        def kill() -> None:
            if other.claim("2.mp4"):
                other.features.release("2.mp4")
            else:
                kill_all(marked, WORKER)

        with every(0.02, kill):
            outcomes = outcomes_of(engine, clips)
        assert {name: outcome.status for name, outcome in outcomes.items()} == {
            "0.mp4": "ok",
            "1.mp4": "ok",
            "2.mp4": "decode_error",
            "3.mp4": "ok",
        }
        assert not any(outcome.skipped for outcome in outcomes.values())
        assert outcomes["2.mp4"].reason == "2 processes died while extracting only this video"
        record = FeatureStore.open(writer.writers.features.path)["2.mp4"]
        assert record.transient and record.label == FAKE
        retried = writer.check(clips[2].item)
        assert isinstance(retried, PendingVideo)
        assert outcomes_of(engine, [retried])["2.mp4"].status == "ok"


@pytest.mark.slow
def test_a_node_whose_processes_die_at_once_is_excluded(
    marked: str, job: MakeJob, writer: ResumableWriter, clips: list[PendingVideo]
) -> None:
    with (
        RayEngine(job("local"), writer, patience_seconds=2.0) as engine,
        every(0.1, lambda: kill_all(marked, f"{WORKER}.load")),
        pytest.raises(EngineError, match=r"no machine.*die before they finish a video"),
    ):
        list(engine.run(clips))
    assert len(FeatureStore.open(writer.writers.features.path)) == 0


# Errors of a node, and separate disks.


@pytest.mark.slow
def test_an_expected_error_is_raised_with_the_name_of_the_node(
    ray_address: str, job: MakeJob, writer: ResumableWriter, clips: list[PendingVideo]
) -> None:
    with RayEngine(job(ray_address), writer) as engine:
        locks = writer.writers.features.path / ".locks"
        shutil.rmtree(locks)
        locks.write_text("no folder")
        with pytest.raises(StoreError, match=r"\S+ \(\w+\): cannot write to .*") as caught:
            list(engine.run(clips))
    assert "Traceback" in "".join(caught.value.__notes__) or "remote.py" in str(
        caught.value.__notes__
    )


@pytest.mark.slow
def test_a_bug_is_raised_with_its_traceback(
    ray_address: str, job: MakeJob, writer: ResumableWriter, clips: list[PendingVideo]
) -> None:
    label: Any = "no label"
    broken = clips[0]._replace(item=replace(clips[0].item, label=label))
    with (
        RayEngine(job(ray_address), writer) as engine,
        pytest.raises(RuntimeError, match=r"\S+ \(\w+\): \w+Error: ") as caught,
    ):
        list(engine.run([broken]))
    assert "worker.py" in "".join(caught.value.__notes__)


@pytest.mark.slow
def test_separate_disks_are_reported_with_their_machines(
    ray_address: str,
    job: MakeJob,
    writer: ResumableWriter,
    clips: list[PendingVideo],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RayEngine(job(ray_address), writer) as engine:
        for mark in writer.writers.features.path.glob(".writer-*"):
            shutil.rmtree(mark)  # then the node does not see it either
        assert len(list(engine.run(clips))) == 4
    assert "writes its records to its own disk, in " in caplog.text
    assert re.search(r"4 records are on the disks of \S+ \(\w+\), in ", caplog.text)


# Tests without a cluster.


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", ":6379", "head:99999"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"HOST:PORT.*Received"), cluster.connected(address):
        pass


def test_an_unreachable_address_fails_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        pytest.raises(EngineError, match=rf"no Ray cluster at 127\.0\.0\.1:{port}: Connection ref"),
        cluster.connected(f"127.0.0.1:{port}"),
    ):
        pass


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UsageError, match="ray://head:10001"), cluster.connected(""):
        pass


def test_a_missing_ray_is_reported_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(EngineError, match=r"pip install 'deepfake-seq\[ray\]'"),
        cluster.connected(""),
    ):
        pass
