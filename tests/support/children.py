"""Run Python code in new processes, for example to measure imports, and find child processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
BENCHMARKS = ROOT / "benchmarks"
PATHS = [str(SUPPORT), str(ROOT)]
"""Import paths of other processes: the shared test modules and the package."""

DECODER = "isolated_process"
"""Part of the command line of decoding processes."""


def run_python(code: str, **environment: str) -> str:
    """Run `code` and return its stdout; fail with its stderr if it fails."""
    return _run(code, {**os.environ, **environment})


def run_as_user(code: str, home: Path, **environment: str) -> str:
    """Run `code` like `run_python`, but with the environment of a user's shell.

    The variables of CI and pytest are missing, because libraries behave differently if they are
    set: OpenVINO, for example, only reports its use without CI.
    """
    user = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(PATHS), "HOME": str(home)}
    return _run(code, {**user, **environment})


def _run(code: str, environment: dict[str, str]) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def environment() -> dict[str, str]:
    """Return the environment in which a child process finds the tests' modules and the package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "OPENBLAS_NUM_THREADS": "1"}


def run_script(*arguments: object) -> str:
    """Run a script that forks in a separate process, as this one has threads; return stdout."""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a process."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            children += map(int, task.read_text().split())
    return children


def command_of(pid: int) -> str:
    """Return the command line of a process; "" if it has ended.

    A process that is just starting its program or ending has no command line for a moment.
    """
    process = Path(f"/proc/{pid}")
    try:
        while not (command := (process / "cmdline").read_text()) and not _is_dead(process):
            time.sleep(0.001)
    except OSError:
        return ""
    return command.replace("\0", " ")


def _is_dead(process: Path) -> bool:
    state = (process / "stat").read_text().rpartition(")")[2].split()[0]
    return state in "ZX"


def decoding_processes() -> set[int]:
    """Return the process ids of the decoding processes that this process has started."""
    return {pid for pid in children_of(os.getpid()) if DECODER in command_of(pid)}
