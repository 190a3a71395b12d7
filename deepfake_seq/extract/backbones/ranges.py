"""The ranges of values in networks that their int8 forms need, as a small JSON file.

Finding them takes a calibration (see `extract.calibration`); building an int8 network from them
does not. The numbers are rounded, so that calibrations on different CPUs agree where they can.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from deepfake_seq.errors import StoreError

_STEP_DIGITS = 5
_SHIFT_DECIMALS = 4

_Number = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
_Step = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
_Zero = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Shift = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class Quantizer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that is rounded to 256 levels: multiples of a step, of which level `zero` is 0.

    Operations are numbered per image input; see `quantize.numbered`.

    Attributes:
        image: Name of the image input that the tensor is computed from.
        source: Number of the operation that computes the tensor.
        kind: Type of that operation.
        readers: Number and input port of each operation that reads the rounded tensor.
        steps: Difference of two levels: one for all channels, or one per channel.
        zeros: Level of 0, as many as `steps`.
    """

    image: str
    source: _Number
    kind: str
    readers: tuple[tuple[_Number, _Number], ...]
    steps: tuple[_Step, ...]
    zeros: tuple[_Zero, ...]


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A convolution whose weights are rounded to whole multiples of a step per output channel.

    Attributes:
        image: Name of the image input that the convolution depends on.
        number: Number of the convolution; see `Quantizer`.
        levels: Number of multiples; 128 leaves room for sums of large products on older CPUs.
        shifts: What is added to the bias of each output channel, because rounding shifts the mean
            of the outputs; empty if nothing is.
    """

    image: str
    number: _Number
    levels: Literal[128, 255]
    shifts: tuple[_Shift, ...]


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the int8 form of a network depends on beside its weights.

    Attributes:
        network: Name of the CNN or detector.
        weights_sha256: Digest of its weights, as in the fingerprint of features or faces.
        quantizers: The rounded tensors.
        kernels: The convolutions with rounded weights.
    """

    network: str
    weights_sha256: str
    quantizers: tuple[Quantizer, ...]
    kernels: tuple[Kernel, ...]

    @property
    def sha256(self) -> str:
        """Digest of the ranges in hex; part of the fingerprint of int8 features or faces."""
        return hashlib.sha256(_to_json(self)).hexdigest()


class _RangesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of a file of ranges."""

    format: Literal["deepseq-int8"]
    format_version: Literal[1]
    networks: tuple[Ranges, ...]


def encode_ranges(networks: Iterable[Ranges]) -> bytes:
    """Encode the ranges of networks as JSON in ASCII; equal ranges give equal bytes."""
    return _to_json(_RangesFile("deepseq-int8", 1, tuple(networks)))


def decode_ranges(data: bytes, where: str) -> tuple[Ranges, ...]:
    """Decode the output of `encode_ranges`; untrusted input.

    Args:
        data: Content of the file.
        where: Description of the file, for messages.

    Raises:
        StoreError: It is no file of ranges, or of another version.
    """
    try:
        return msgspec.json.decode(data, type=_RangesFile).networks
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"{where} is no file of int8 ranges, or it is damaged: {error}. Remove it, or "
            "restore it from another copy of the store or run."
        ) from error


def find_ranges(data: bytes | None, where: str, network: str, weights_sha256: str) -> Ranges | None:
    """Return the ranges of a network in a file; None if the file lacks them or there is none.

    Args:
        data: Content of the file; None if there is none.
        where: Description of the file, for messages.
        network: Name of the network.
        weights_sha256: Digest of its weights.

    Raises:
        StoreError: See `decode_ranges`.
    """
    for ranges in decode_ranges(data, where) if data is not None else ():
        if (ranges.network, ranges.weights_sha256) == (network, weights_sha256):
            return ranges
    return None


def _to_json(values: Any) -> bytes:
    return (json.dumps(msgspec.to_builtins(values), separators=(",", ":")) + "\n").encode()


def rounded_step(step: float) -> float:
    """Return a step with as many digits as are stored."""
    return float(f"{step:.{_STEP_DIGITS - 1}e}")


def rounded_shift(shift: float) -> float:
    """Return a shift with as many decimals as are stored."""
    return round(shift, _SHIFT_DECIMALS) + 0.0  # no negative zero
