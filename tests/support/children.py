"""Run Python code in new processes, for example to measure imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
BENCHMARKS = ROOT / "benchmarks"
PATHS = [str(SUPPORT), str(ROOT)]
"""Import paths of other processes: the shared test modules and the package."""


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
