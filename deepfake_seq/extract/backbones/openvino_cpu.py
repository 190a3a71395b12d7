"""Networks on the CPU with OpenVINO, in exactly the requested precision, many images at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import EngineError

_LOG = logging.getLogger(__name__)

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8": "f32"}
"""OpenVINO's names. An int8 network says itself what it rounds; the rest of it is float32."""

_INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
"""Names in Linux's list of CPU features of the instructions for sums of int8 products."""


def settings(precision: str) -> dict[str, str]:
    """Return OpenVINO's settings for high throughput in the given precision.

    Args:
        precision: One of `config.PRECISIONS`.
    """
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
    }


@cache
def warn_if_int8_is_slow() -> None:
    """Print a warning, once, if the CPU lacks instructions for int8; elsewhere than on Linux, not.

    It then computes the same features up to rounding.
    """
    try:
        features = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return
    if not features & _INT8_FLAGS:
        _LOG.warning(
            "this CPU has no instructions for int8 (VNNI or AMX): --precision int8 works, but is "
            "about half as fast as with them"
        )


def compile_for_throughput(
    core: Any, model: Any, precision: str, option: str = "--precision"
) -> Any:
    """Compile a model for the CPU; return an `openvino.CompiledModel`.

    Args:
        core: An `openvino.Core`.
        model: The `openvino.Model`.
        precision: One of `config.PRECISIONS`.
        option: The command-line option that sets the precision, for the message.

    Raises:
        EngineError: The CPU does not support the precision.
        RuntimeError: OpenVINO cannot compile the model.
    """
    compiled = core.compile_model(model, "CPU", settings(precision))
    require_precision(compiled, precision, option)
    return compiled


def require_precision(compiled: Any, precision: str, option: str = "--precision") -> None:
    """Raise `EngineError` if OpenVINO has chosen another precision."""
    actual = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if actual != _PRECISIONS[precision]:
        raise EngineError(
            f"this CPU does not support precision {precision} (OpenVINO chose {actual}). "
            f"Use {option} float32."
        )


class ParallelRequests:
    """Runs a compiled network on many images in parallel, and returns the outputs in their order.

    `openvino.AsyncInferQueue` is not used: a thread of OpenVINO that has just called its callback
    may still wait for Python's lock when the queue is deleted, and the deletion waits for that
    thread while it holds the lock.

    Args:
        compiled: An `openvino.CompiledModel`.

    Attributes:
        parallel: Number of images that OpenVINO computes at the same time.
    """

    def __init__(self, compiled: Any) -> None:
        self.parallel = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        # Twice as many, so that no thread waits for Python between two images.
        self._requests = [compiled.create_infer_request() for _ in range(2 * self.parallel)]

    def outputs(
        self, images: Iterable[Sequence[npt.NDArray[Any]]]
    ) -> Iterator[list[npt.NDArray[np.float32]]]:
        """Yield the outputs of the network for each image.

        Args:
            images: The inputs of the network for each image.

        Yields:
            The outputs of an image, in the memory of OpenVINO: they are overwritten later.
        """
        running: deque[Any] = deque()
        idle = deque(self._requests)
        try:
            for inputs in images:
                if not idle:
                    yield _finished(running[0])
                    idle.append(running.popleft())
                running.append(idle.popleft())
                running[-1].start_async(list(inputs))
            while running:
                yield _finished(running[0])
                running.popleft()
        finally:
            for request in running:
                request.wait()


def _finished(request: Any) -> list[npt.NDArray[np.float32]]:
    request.wait()
    return [tensor.data for tensor in request.output_tensors]
