"""The weights file of a fine-tuned CNN: safetensors that say which CNN, of which input size."""

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
"""Of the CNN in the run that it was fine-tuned in."""

_ABOUT = "deepseq"
"""The one entry of the file's metadata: of several, the order would differ from file to file."""

_MAX_BYTES = 1 << 30

Weights = list[npt.NDArray[np.float32]]


class _About(msgspec.Struct):
    """What the file says of the CNN."""

    backbone: str
    crop_size: Annotated[int, msgspec.Meta(ge=1, le=1024)]


def is_finetuned(path: Path) -> bool:
    """Whether a weights file is, by its name, of a fine-tuned CNN."""
    return path.suffix == SUFFIX


def write(path: Path, backbone: str, crop_size: int, weights: Weights) -> None:
    """Write a CNN's weights, whole or not at all.

    Args:
        path: The file.
        backbone: Which CNN.
        crop_size: The side of its input in pixels.
        weights: All of them, in Keras's order.

    Raises:
        OSError: The disk does not take them.
    """
    from safetensors.numpy import save

    tensors = {_name(number): np.asarray(own, np.float32) for number, own in enumerate(weights)}
    told = json.dumps({"backbone": backbone, "crop_size": crop_size})
    atomic.write_bytes(path, save(tensors, metadata={_ABOUT: told}))


def describe(path: Path) -> tuple[str, int]:
    """Which CNN a file is of, and the side of its input in pixels.

    Raises:
        WeightsError: It is no such file.
    """
    with _opened(path) as file:
        told = (file.metadata() or {}).get(_ABOUT, "")
    try:
        about = msgspec.json.decode(told, type=_About)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not the CNN of a fine-tuned run, which says its name and its input size. "
            f"Received: {told[:100]!r}"
        ) from error
    return about.backbone, about.crop_size


def read(path: Path, shapes: Sequence[tuple[int, ...]]) -> Weights:
    """What `write` wrote.

    Args:
        path: The file, from anybody.
        shapes: Of the CNN's weights.

    Raises:
        WeightsError: It holds something else.
    """
    with _opened(path) as file:
        names = [_name(number) for number in range(len(shapes))]
        if set(file.keys()) != set(names):
            raise WeightsError(
                f"{path} does not hold the {len(names)} weights of such a CNN. Received: "
                f"{len(file.keys())}"
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
    """The CNN that a run fine-tuned, if it is there and is the one with that digest.

    Args:
        folder: The run, from anybody.
        sha256: Of the file, in hex.
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
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise WeightsError(f"{path} is no file, or larger than {_MAX_BYTES} bytes")
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
