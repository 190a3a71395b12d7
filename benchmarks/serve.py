"""Load `deepseq serve` with clips from several clients, and count what comes back.

python benchmarks/serve.py RUN CLIP... [--total 200] [--clients 8] [--maps 0]

Starts a server on a free port of this machine and sends the clips again and again from several
clients, each of which sends its next clip when the last one is done, as the page does. The
baseline is `deepseq predict` on the same number of clips. Prints the time from the first byte of a
clip to its report (p50 and p95), clips per second and the ratio to the baseline, and the maximum
resident memory of the server and of its worker in each quarter of the clips. Fails if a clip is
lost, doubled or gets another verdict than from `predict`, or if the memory of a process in the last
quarter is more than 1.1 times that in the second one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx

DEEPSEQ = [sys.executable, "-m", "deepfake_seq"]
POLL_SECONDS = 0.02


def predict(run: Path, clips: list[Path]) -> tuple[dict[str, str], float]:
    """Return the verdict on each clip by path, and the time `deepseq predict` takes."""
    begin = time.monotonic()
    arguments = [*DEEPSEQ, "predict", "--jsonl", "--run", str(run), *map(str, clips)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 4):
        raise SystemExit(result.stderr)
    seconds = time.monotonic() - begin
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]
    return {verdict["path"]: verdict["verdict"] for verdict in verdicts}, seconds


def send(client: httpx.Client, clip: Path, name: str) -> httpx.Response:
    """Send a clip."""
    return client.post("/v1/clips", content=clip.read_bytes(), params={"name": name})


def classify(client: httpx.Client, clip: Path, name: str) -> tuple[dict[str, object], float]:
    """Send a clip and wait for its report; return the job and the time it takes."""
    begin = time.monotonic()
    while (
        response := client.post("/v1/clips", content=clip.read_bytes(), params={"name": name})
    ) and (response.status_code == 429):
        time.sleep(POLL_SECONDS)
    job = response.raise_for_status().json()
    while job["state"] in ("queued", "running"):
        time.sleep(POLL_SECONDS)
        job = client.get(f"/v1/clips/{job['id']}").raise_for_status().json()
    return job, time.monotonic() - begin


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def worker_of(pid: int) -> int:
    """Return the process id of a server's worker."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
    raise SystemExit("the server has no worker")


class Load:
    """Sends clips from several clients, and watches the memory of the processes."""

    def __init__(self, address: str, pids: dict[str, int], clips: list[Path], total: int) -> None:
        self.jobs: list[tuple[dict[str, object], Path]] = []
        self.seconds: list[float] = []
        self.peaks = {name: [0, 0, 0, 0] for name in pids}
        self._address, self._pids, self._clips, self._total = address, pids, clips, total
        self._numbers = count()
        self._lock = threading.Lock()

    def run_client(self, _: int) -> None:
        """Send clips one after the other until all have been sent."""
        with httpx.Client(base_url=self._address, timeout=600) as client:
            while (number := next(self._numbers)) < self._total:
                clip = self._clips[number % len(self._clips)]
                job, seconds = classify(client, clip, str(number))
                with self._lock:
                    self.jobs.append((job, clip))
                    self.seconds.append(seconds)
                    quarter = 4 * (len(self.jobs) - 1) // self._total
                    for name, pid in self._pids.items():
                        peaks = self.peaks[name]
                        peaks[quarter] = max(peaks[quarter], resident_bytes(pid))


def check(jobs: list[tuple[dict[str, object], Path]], total: int, expected: dict[str, str]) -> None:
    """Exit if a clip was lost, doubled, or has a wrong verdict."""
    names = sorted(int(str(job["name"])) for job, _ in jobs)
    ids = {job["id"] for job, _ in jobs}
    if names != list(range(total)) or len(ids) != total:
        raise SystemExit(f"{len(names)} clips with {len(ids)} ids came back, {total} were sent")
    for job, clip in jobs:
        result = job["result"]
        if not isinstance(result, dict) or result["verdict"] != expected[str(clip)]:
            raise SystemExit(f"{clip}: {job['state']} {job['error']} {result}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("clip", type=Path, nargs="+")
    parser.add_argument("--total", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--maps", type=int, default=0)
    options = parser.parse_args()
    clips, total = options.clip, options.total
    expected, seconds = predict(options.run, [clips[at % len(clips)] for at in range(total)])
    print(f"predict: {total} clips in {seconds:.1f} s, {total / seconds:.2f} a second")
    with tempfile.TemporaryDirectory() as spool:
        arguments = [*DEEPSEQ, "serve", "--run", str(options.run), "--port", "0", "--spool", spool]
        arguments += ["--maps", str(options.maps)]
        server = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            address = next(line.split()[2] for line in server.stderr if "open http" in line)
            threading.Thread(target=server.stderr.read, daemon=True).start()
            time.sleep(1)  # for the worker to start
            load = Load(
                address, {"server": server.pid, "worker": worker_of(server.pid)}, clips, total
            )
            begin = time.monotonic()
            with ThreadPoolExecutor(options.clients) as threads:
                list(threads.map(load.run_client, range(options.clients)))
            served = time.monotonic() - begin
        finally:
            server.terminate()
            server.wait()
        left = [path.name for path in Path(spool).glob("*.clip")]
        reports = [path.stat().st_size for path in Path(spool).glob("*.html")]
    check(load.jobs, total, expected)
    print(
        f"serve:   {total} clips in {served:.1f} s from {options.clients} clients, "
        f"{total / served:.2f} a second, {seconds / served:.2f} x predict"
    )
    p50, p95 = statistics.median(load.seconds), statistics.quantiles(load.seconds, n=20)[18]
    print(f"from sending a clip to its report: p50 {p50:.2f} s, p95 {p95:.2f} s")
    for name, peaks in load.peaks.items():
        text = ", ".join(f"{peak / 1e6:.0f} MB" for peak in peaks)
        print(
            f"memory of the {name} in each quarter: {text}; {peaks[3] / peaks[1]:.3f} x the second"
        )
    print(f"reports: {len(reports)}, {statistics.mean(reports) / 1e3:.0f} kB on average")
    print(f"lost 0, doubled 0, wrong 0; clips left on the disk: {len(left)}")
    sys.exit(bool(left) or any(peaks[3] > 1.1 * peaks[1] for peaks in load.peaks.values()))


if __name__ == "__main__":
    main()
