"""Crash a small run at one step after another, and check the store after each crash. A script.

crashing.py FOLDER RUN EVERY

RUN is `small_run` or `faces_run`; the process is ended before every EVERY-th step that changes the
disk. After each crash, all committed records must be in the store, none may be torn, and the next
run must give the same store as a run without a crash. Prints the number of crashes.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from disk import watching

from deepfake_seq.store.upkeep.verify import verify

CRASHED = 9
RUN = importlib.import_module(sys.argv[2])


def run_until(step: int, path: Path, log: Path) -> None:
    """Run, exit before the given step, and append the committed ids to `log`."""
    left = step

    def before(name: str, *arguments: Any) -> None:
        nonlocal left
        if not left:
            os._exit(CRASHED)
        left -= 1

    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with watching(before):
        RUN.small_run(path, lambda record: _append(descriptor, record.video_id))
    os._exit(0)


def _append(descriptor: int, video_id: str) -> None:
    os.write(descriptor, f"{video_id}\n".encode())


def crash(step: int, path: Path, log: Path) -> bool:
    """Run in a child process that ends at a step; return whether it got that far."""
    child = os.fork()
    if not child:
        try:
            run_until(step, path, log)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, CRASHED), f"step {step}: exit code {code}"
    return code == CRASHED


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    RUN.small_run(folder / "whole")
    expected = RUN.contents(folder / "whole")
    step = crashes = 0
    while crash(step, folder / f"{step}", folder / f"{step}.log"):
        path, log = folder / f"{step}", folder / f"{step}.log"
        digests = RUN.contents(path)
        committed = set(log.read_text().split()) if log.exists() else set()
        assert committed <= digests.keys(), f"step {step}: {committed - digests.keys()} is lost"
        if digests:
            assert verify(path).is_whole, f"step {step}"
        RUN.small_run(path)
        assert RUN.contents(path) == expected, f"step {step}: the resumed store differs"
        report = verify(path)
        assert report.is_whole and not report.leftovers, f"step {step}: {report}"
        step += int(sys.argv[3])
        crashes += 1
    sys.stdout.write(f"{crashes}")


if __name__ == "__main__":
    main()
