"""Runs a small run again and again, each time ending the process some steps later. A script.

Its arguments: a folder to work in, `small_run` or `faces_run`, and by how many steps later each
process ends.

Prints how many processes were ended, or fails. After each crash, all that was committed must be
there, nothing may be torn, and the next run must lead to the same store as one without a crash.
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
    """Run, and be gone before the given step; what was committed is noted in `log`."""
    left = step

    def before(name: str, *arguments: Any) -> None:
        nonlocal left
        if not left:
            os._exit(CRASHED)
        left -= 1

    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with watching(before):
        RUN.small_run(path, lambda record: _note(descriptor, record.video_id))
    os._exit(0)


def _note(descriptor: int, video_id: str) -> None:
    os.write(descriptor, f"{video_id}\n".encode())


def crash(step: int, path: Path, log: Path) -> bool:
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
        found = RUN.contents(path)
        committed = set(log.read_text().split()) if log.exists() else set()
        assert committed <= found.keys(), f"step {step}: {committed - found.keys()} is lost"
        if found:
            assert verify(path).is_whole, f"step {step}"
        RUN.small_run(path)
        assert RUN.contents(path) == expected, f"step {step}: resumed otherwise"
        report = verify(path)
        assert report.is_whole and not report.leftovers, f"step {step}: {report}"
        step += int(sys.argv[3])
        crashes += 1
    sys.stdout.write(f"{crashes}")


if __name__ == "__main__":
    main()
