"""A detector's network on OpenVINO, which runs many images in parallel."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_openvino
from deepfake_seq.config import INT8
from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.backbones.openvino_cpu import (
    ParallelRequests,
    compile_for_throughput,
    warn_if_int8_is_slow,
)
from deepfake_seq.extract.backbones.quantize import quantize
from deepfake_seq.extract.backbones.ranges import Ranges

Outputs = list[npt.NDArray[np.float32]]


def read_network(weights: Path, what: str) -> Any:
    """Read an ONNX file; return an `openvino.Model`.

    Args:
        weights: Path of the file.
        what: What the file should contain, for the message.

    Raises:
        WeightsError: OpenVINO cannot read the file.
    """
    try:
        return load_openvino().Core().read_model(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise WeightsError(f"{weights} is not a {what} network: {reason}") from error


class OpenVinoNetwork:
    """A network compiled for the CPU; OpenVINO chooses how many images run in parallel.

    Args:
        model: An `openvino.Model` that takes one batch of images of any size.
        precision: One of `config.PRECISIONS`.
        ranges: Ranges of the network for precision int8; None for the others.

    Raises:
        EngineError: The CPU does not support the precision, or the ranges belong to another
            network.
    """

    def __init__(self, model: Any, precision: str, ranges: Ranges | None) -> None:
        if (precision == INT8) != (ranges is not None):
            raise ValueError(f"ranges are for int8, which needs them. Received: {precision}")
        openvino = load_openvino()
        if ranges:
            warn_if_int8_is_slow()
            quantize(model, ranges)
        compiled = compile_for_throughput(openvino.Core(), model, precision, "--detector-precision")
        self._requests = ParallelRequests(compiled)
        self._lock = threading.Lock()

    def __call__(self, images: Sequence[npt.NDArray[Any]]) -> list[Outputs]:
        """Return the outputs of each image, float32 (1, …) each.

        Args:
            images: One image each, without the batch dimension.
        """
        with self._lock:
            return [
                [output.copy() for output in outputs]
                for outputs in self._requests.outputs([image[None]] for image in images)
            ]
