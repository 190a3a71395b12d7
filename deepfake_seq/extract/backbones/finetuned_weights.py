"""The weights file of a finetuned CNN: safetensors with the CNN's name and input size."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.errors import WeightsError
from deepfake_seq.weights import digest_of

SUFFIX = ".safetensors"
FILE_NAME = f"backbone{SUFFIX}"
"""Name of the weights file in the run directory of `deepseq finetune`."""

_METADATA_KEY = "deepseq"
"""Key of the only metadata entry; the order of several entries would not be reproducible."""

_MAX_BYTES = 1 << 30

Weights = list[npt.NDArray[np.float32]]


class _Metadata(msgspec.Struct):
    """The metadata of the file."""

    backbone: str
    crop_size: Annotated[int, msgspec.Meta(ge=1, le=1024)]


def is_finetuned(path: Path) -> bool:
    """Return whether a weights file is named like a finetuned CNN."""
    return path.suffix == SUFFIX


def write(path: Path, backbone: str, crop_size: int, weights: Weights) -> None:
    """Write a CNN's weights atomically.

    Args:
        path: Path of the file.
        backbone: Name of the CNN.
        crop_size: Side of its input in pixels.
        weights: All weights, in Keras's order.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors.numpy import save

    tensors = {
        _name(number): np.asarray(values, np.float32) for number, values in enumerate(weights)
    }
    metadata = json.dumps({"backbone": backbone, "crop_size": crop_size})
    atomic.write_bytes(path, save(tensors, metadata={_METADATA_KEY: metadata}))


def describe(path: Path) -> tuple[str, int]:
    """Return the name of the CNN in a file, and the side of its input in pixels.

    Raises:
        WeightsError: It is not the weights file of a finetuned CNN.
    """
    with _opened(path) as file:
        metadata = (file.metadata() or {}).get(_METADATA_KEY, "")
    try:
        decoded = msgspec.json.decode(metadata, type=_Metadata)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not the weights file of a finetuned CNN: its metadata lacks the CNN's name "
            f"and input size. Received: {metadata[:100]!r}"
        ) from error
    return decoded.backbone, decoded.crop_size


def read(path: Path, shapes: Sequence[tuple[int, ...]]) -> Weights:
    """Read the weights written by `write`.

    Args:
        path: Path of the file; untrusted input.
        shapes: Expected shapes of the CNN's weights.

    Raises:
        WeightsError: The file is not what `write` writes, or has other shapes.
    """
    with _opened(path) as file:
        names = [_name(number) for number in range(len(shapes))]
        if set(file.keys()) != set(names):
            raise WeightsError(
                f"{path} must contain the {len(names)} weights of this CNN. Received: "
                f"{len(file.keys())} tensors"
            )
        weights = [file.get_tensor(name) for name in names]
    for name, tensor, shape in zip(names, weights, shapes, strict=True):
        if tensor.shape != shape or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise WeightsError(
                f"{path}: {name} must be finite float32 {shape}. Received: {tensor.dtype} "
                f"{tensor.shape}"
            )
    return weights


def in_run(folder: Path, sha256: str) -> Path | None:
    """Return the path of a run's finetuned CNN; None if it is missing or its digest differs.

    Args:
        folder: The run directory; untrusted input.
        sha256: SHA-256 of the weights file, in hex.
    """
    path = folder / FILE_NAME
    if path.is_symlink() or not path.is_file() or digest_of(path) != sha256:
        return None
    return path


def _name(number: int) -> str:
    return f"weight_{number:04}"


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise WeightsError(f"{path} is not a regular file of up to {_MAX_BYTES} bytes")
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
