"""The Ray engine on Ray: two nodes on this machine, of which one is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip

from deepfake_seq.errors import EngineError, UsageError
from deepfake_seq.extract.engines import cluster
from deepfake_seq.store import FeatureStore
from deepfake_seq.store.verify import verify

CLIPS = 24
SMALL = ("--detector", "none", "--weights", "untrained", "--frames", "4")
MARK = "DEEPSEQ_TEST_RAY"


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """What all processes that the test starts have in their environment; none is left over."""
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
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
    """Clips, and a file that is none."""
    for number in range(CLIPS):
        folder = tmp_path / "videos" / ("real", "fake")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"{number:02}.mp4", 8)
    (tmp_path / "videos" / "real" / "bad.mp4").write_text("no video")
    return tmp_path / "videos"


def extract(videos: Path, *options: str) -> subprocess.Popen[str]:
    """`deepseq extract --engine ray`, on its way."""
    command = [sys.executable, "-m", "deepfake_seq", "extract", str(videos), "--json", *SMALL]
    command += ["--engine", "ray", "--out", str(videos.parent / "store"), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def marked_processes(mark: str, named: str = "") -> list[int]:
    """Processes other than this one with the mark whose command line holds `named`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        marked = f"{MARK}={mark}".encode() in environment.split(b"\0")
        if marked and named in command and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def committed(folder: Path) -> int:
    try:
        return len(FeatureStore.open(folder))
    except Exception:  # noqa: BLE001 - it is being made
        return 0


@pytest.mark.slow
def test_a_killed_node_costs_what_it_had_in_hand(nodes: Any, videos: Path, tmp_path: Path) -> None:
    run = extract(videos, "--address", nodes.address, "--profile")
    mark = str(tmp_path)
    until(lambda: len(marked_processes(mark, "multiprocessing.spawn")) == 2)  # both decode
    (killed,) = nodes.worker_nodes
    nodes.remove_node(killed, allow_graceful=False)
    assert committed(tmp_path / "store") < CLIPS, "it was killed too late"
    output, messages = run.communicate(timeout=120)
    assert run.returncode == 3, messages
    result = json.loads(output)
    told = [line for line in messages.splitlines() if " was lost (" in line]
    assert len(told) == 1 and told[0].endswith("videos go back")
    back = int(told[0].split(";")[-1].split()[0])
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
def test_a_killed_process_is_replaced_and_its_decoders_go_with_it(
    marked: str, videos: Path, tmp_path: Path
) -> None:
    """Ray is started by the command itself, and ended by it."""
    run = extract(videos)
    until(lambda: committed(tmp_path / "store") >= 2)
    (actor,) = marked_processes(marked, "ray::Station")
    decoders = marked_processes(marked, "multiprocessing.spawn")
    assert decoders
    os.kill(actor, signal.SIGKILL)
    until(lambda: not set(decoders) & set(marked_processes(marked)), 20)
    output, messages = run.communicate(timeout=120)
    assert run.returncode == 3, messages
    result = json.loads(output)
    assert (result["ok"], result["failed"], result["skipped"]) == (CLIPS, 1, 0)
    assert "was lost" in messages
    until(lambda: not marked_processes(marked), 20)


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_running_and_goes_on_where_it_was(
    marked: str, videos: Path, tmp_path: Path
) -> None:
    run = extract(videos)
    until(lambda: committed(tmp_path / "store") >= 2)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 1
    until(lambda: not marked_processes(marked), 20)
    before = committed(tmp_path / "store")
    assert 2 <= before < CLIPS + 1
    run = extract(videos, "--engine", "local")
    output, messages = run.communicate(timeout=120)
    assert run.returncode in (0, 3), messages  # the one that fails may have failed before
    result = json.loads(output)
    assert (result["skipped"], result["ok"] + result["failed"]) == (before, CLIPS + 1 - before)
    assert list((tmp_path / "store").glob(".writer-*")) == []


# What needs no cluster.


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", ":6379", "head:99999"])
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"HOST:PORT.*Received"), cluster.connected(address):
        pass


def test_an_address_where_nobody_is_is_told_at_once() -> None:
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


def test_where_ray_is_missing_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(EngineError, match=r"pip install 'deepfake-seq\[ray\]'"),
        cluster.connected(""),
    ):
        pass
