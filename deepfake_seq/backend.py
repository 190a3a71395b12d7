"""Import Keras and its backend without TensorFlow's start-up messages."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepfake_seq.errors import EngineError


def load_keras() -> Any:
    """Return the `keras` module, on the backend named by KERAS_BACKEND (default: TensorFlow).

    TensorFlow's native code writes notes about missing GPUs to stderr before any logging level
    applies; they are discarded if the import succeeds.

    Raises:
        EngineError: Keras or its backend cannot be imported.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            with _buffered_stderr():
                import keras

                if keras.backend.backend() == "tensorflow":
                    keras.ops.zeros(1)  # starts the runtime, which also writes notes
        except ImportError as error:
            chosen = os.environ.get("KERAS_BACKEND", "tensorflow")
            raise EngineError(
                f"Keras cannot use the backend {chosen}: {error}. Install the missing package, or "
                "choose another backend with the environment variable KERAS_BACKEND."
            ) from error
    import keras

    return keras


def has_gpu() -> bool:
    """Return whether Keras's backend has a GPU; imports Keras."""
    # JAX raises if it is asked for GPUs only and there is none.
    devices = load_keras().distribution.list_devices()
    return any(device.lower().startswith(("gpu", "cuda", "rocm")) for device in devices)


@contextmanager
def _buffered_stderr() -> Iterator[None]:
    """Buffer file descriptor 2, and write the buffer to stderr only if the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            buffer.seek(0)
            os.write(2, buffer.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
