"""Importing Keras with its backend, without the chatter of TensorFlow's start."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepfake_seq.errors import EngineError


def load_keras() -> Any:
    """The `keras` module, on the backend that KERAS_BACKEND names (TensorFlow by default).

    TensorFlow's native code writes notes about missing GPUs to stderr before any logging level is
    in force; they are dropped once the import has succeeded.

    Raises:
        EngineError: Keras or its backend cannot be imported.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            with _held_back_stderr():
                import keras

                if keras.backend.backend() == "tensorflow":
                    keras.ops.zeros(1)  # starts the runtime, which has notes of its own
        except ImportError as error:
            chosen = os.environ.get("KERAS_BACKEND", "tensorflow")
            raise EngineError(
                f"Keras cannot be used on {chosen}: {error}. Install what is missing, or choose "
                "another backend with the environment variable KERAS_BACKEND."
            ) from error
    import keras

    return keras


def has_gpu() -> bool:
    """Whether Keras's backend computes on a GPU; imports Keras."""
    # Asked for GPUs alone, JAX raises where there is none.
    devices = load_keras().distribution.list_devices()
    return any(device.lower().startswith(("gpu", "cuda", "rocm")) for device in devices)


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Collect what native code writes to file descriptor 2; give it back where the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
