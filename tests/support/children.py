"""Python processes of their own, for what a process can do only once: import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
BENCHMARKS = ROOT / "benchmarks"
PATHS = [str(SUPPORT), str(ROOT)]
"""Where other processes find what tests share, and the package."""


def run_python(code: str, **environment: str) -> str:
    """What `code` printed; fails with its stderr where it failed."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
