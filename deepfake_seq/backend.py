"""Import Keras, its backend and OpenVINO, with the same settings on every machine."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from deepfake_seq.errors import EngineError


@cache
def load_keras() -> Any:
    """Return the `keras` module, on the backend named by KERAS_BACKEND (default: TensorFlow).

    The user's `keras.json` is overridden: it would change the features under the same fingerprint.
    TensorFlow's native code writes notes about missing GPUs to stderr before any logging level
    applies; they are discarded if the import succeeds.

    Raises:
        EngineError: Keras or its backend cannot be imported.
    """
    disable_telemetry()  # of OpenVINO, which is one of the backends
    chosen = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("KERAS_NNX_ENABLED", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _buffered_stderr():
            import keras

            keras.config.set_floatx("float32")
            keras.config.set_dtype_policy("float32")
            keras.config.set_epsilon(1e-7)
            keras.config.set_image_data_format("channels_last")
            if keras.backend.backend() == "tensorflow":
                keras.ops.zeros(1)  # starts the runtime, which also writes notes
    except ImportError as error:
        raise EngineError(
            f"Keras cannot use the backend {chosen}: {error}. Install the missing package, or "
            "choose another backend with the environment variable KERAS_BACKEND."
        ) from error
    except ValueError as error:  # Keras refuses some values of its file instead of ignoring them
        raise EngineError(
            f"Keras cannot be imported: {error}. Correct or remove keras.json in ~/.keras, or in "
            "the folder named by KERAS_HOME."
        ) from error
    return keras


def load_openvino() -> Any:
    """Return the `openvino` module, without its telemetry."""
    disable_telemetry()
    import openvino

    return openvino


def disable_telemetry() -> None:
    """Prevent OpenVINO and ONNX Runtime from reporting their use; call it before their import.

    Without this, OpenVINO contacts Google Analytics and creates `~/intel` when it is imported, and
    ONNX Runtime (1.29 and newer) collects events for Microsoft in `~/.cache/Microsoft`.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


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
