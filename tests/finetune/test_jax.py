"""Finetuning with JAX as the Keras backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from children import PATHS

TUNE = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from faces import face_store
from test_tune import SHORT, finetune, task_of

store = face_store(Path({folder!r}) / "faces", clips=12)
result = finetune(task_of(store), Path({folder!r}) / "run")
print(result.metrics["validation"]["clips"], "tensorflow" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_fine_tuning_on_jax_does_not_import_tensorflow(tmp_path: Path) -> None:
    code = TUNE.format(paths=[*PATHS, str(Path(__file__).parent)], folder=str(tmp_path))
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "False"
