"""Start `deepseq serve` for tests, with the run and the worker of `brightness`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brightness
import click
import httpx
from children import children_of, command_of, environment
from waiting import PATIENCE_SECONDS, until

from deepfake_seq.config import ExecutionConfig, ExplainConfig, PredictConfig, ServeConfig
from deepfake_seq.explain.reporter import ReportConfig
from deepfake_seq.predict import WeightsOverride
from deepfake_seq.serve.server import serve
from deepfake_seq.serve.worker import PredictorConfig


@dataclass(frozen=True)
class RunningServer:
    """A server in a process of its own.

    Attributes:
        address: Address of the page, without a slash at the end.
        client: Client of this address.
        process: The process.
        spool: Its folder.
    """

    address: str
    client: httpx.Client
    process: subprocess.Popen[str]
    spool: Path

    def send(self, clip: Path | bytes, **query: str) -> dict[str, Any]:
        """Send a clip; return the job."""
        content = clip if isinstance(clip, bytes) else clip.read_bytes()
        response = self.client.post("/v1/clips", content=content, params=query)
        assert response.status_code == 202, response.text
        return dict(response.json())

    def get(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the present state of a job."""
        response = self.client.get(f"/v1/clips/{job['id']}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait(self, job: dict[str, Any], *states: str) -> dict[str, Any]:
        """Wait until a job is in one of these states, by default done or failed."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (current := self.get(job))["state"] not in (states or ("done", "failed")):
            assert time.monotonic() < end, current
            time.sleep(0.02)
        return current

    def release(self, clip_id: str) -> None:
        """Let a clip with the marker `hold` continue."""
        (self.spool / f"{clip_id}.go").touch()

    def worker_pid(self) -> int:
        """Return the process id of the worker, once it has started."""

        def workers() -> list[int]:
            children = children_of(self.process.pid)
            return [pid for pid in children if "spawn_main" in command_of(pid)]

        (worker,) = until(workers, "the worker has started")
        return worker

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running(
    folder: Path,
    run: Path | None,
    window_seconds: float | None = None,
    maps: int = 0,
    **settings: Any,
) -> Iterator[RunningServer]:
    """Start a server, and kill it at the end of the block.

    Args:
        folder: Folder for its spool.
        run: The run that it offers; None for none.
        window_seconds: Length of the windows into which it divides clips.
        maps: Number of frames per person for which it makes maps.
        **settings: Attributes of `ServeConfig` that differ from the default.
    """
    spool = folder / "spool"
    runs = [str(run or folder / "no-runs")]
    values = (runs, str(spool), window_seconds, maps, {"port": 0, **settings})
    arguments = [sys.executable, "-c", _MAIN, repr(values)]
    process = subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rstrip("/")
        assert address, "the server did not start"
        with httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client:
            yield RunningServer(address, client, process, spool)
    finally:
        process.kill()  # the worker ends with it
        process.communicate()


_MAIN = "import ast, sys, serving; serving.main(*ast.literal_eval(sys.argv[1]))"


def main(
    runs: list[str],
    spool: str,
    window_seconds: float | None,
    maps: int,
    settings: dict[str, Any],
) -> None:
    """Serve, and print the address; runs in the process of a server."""
    config = PredictorConfig(
        ExecutionConfig(workers=2),
        WeightsOverride(),
        PredictConfig(window_seconds=window_seconds),
        ReportConfig(ExplainConfig(maps=maps)),
        brightness.reporter,
    )
    serve(
        [Path(path) for path in runs],
        Path(spool),
        ServeConfig(**settings),
        config,
        lambda address: click.echo(address),
    )
