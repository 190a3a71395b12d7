"""Decoding of a hundred damaged videos."""

from __future__ import annotations

import subprocess
import sys

from children import BENCHMARKS


def test_a_hundred_damaged_videos_all_have_a_status() -> None:
    result = subprocess.run(
        [sys.executable, str(BENCHMARKS / "mutations.py"), "100"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "100 of 100 mutants have a status; 0 silently short" in result.stdout
