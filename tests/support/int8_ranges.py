"""Ranges of small networks, as NNCF found them, for tests without NNCF."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deepfake_seq.extract.backbones.ranges import Kernel, Quantizer, Ranges, encode_ranges
from deepfake_seq.weights import digest_of

TINY = Ranges(
    network="inception_v3",
    weights_sha256="untrained:seed=0",
    quantizers=(
        Quantizer("residuals", 4, "Add", ((5, 0),), (0.003695,), (135,)),
        Quantizer("crops_rgb", 4, "Add", ((5, 0),), (0.0066763,), (137,)),
        Quantizer("crops_rgb", 6, "Relu", ((7, 0),), (0.0071154,), (0,)),
    ),
    kernels=(
        Kernel("residuals", 5, 128, ()),
        Kernel("crops_rgb", 5, 128, ()),
        Kernel("crops_rgb", 7, 255, (0.001,) * 2048),
    ),
)
"""The untrained `tiny_cnn.InceptionV3`."""


_MOBILE = Ranges(
    network="retinaface-mobile",
    weights_sha256="",
    quantizers=(
        Quantizer("images", 2, "Add", ((3, 0),), (1.0948,), (116,)),
        Quantizer("images", 8, "Relu", ((9, 0),), (1.5284,), (0,)),
        Quantizer("images", 18, "Relu", ((19, 0),), (1.9569,), (0,)),
        Quantizer("images", 28, "Relu", ((29, 0),), (1.4106,), (0,)),
    ),
    kernels=tuple(
        Kernel("images", number, levels, ())
        for first in (5, 15, 25)
        for number, levels in ((first, 128), (first + 4, 255))
    ),
)


def of_detector(network: Path) -> Ranges:
    """Return the ranges of a deep `detector_networks.write_retinaface_mobile_like`."""
    return msgspec.structs.replace(_MOBILE, weights_sha256=digest_of(network))


def write_of_detector(home: Path, network: Path) -> Ranges:
    """Write the ranges of a detector to where they are looked for; return them."""
    ranges = of_detector(network)
    _write(home, ranges)
    return ranges


def write(home: Path) -> Path:
    """Write the ranges to where `--precision int8` looks for them; return the path."""
    return _write(home, TINY)


def _write(home: Path, ranges: Ranges) -> Path:
    digest = ranges.weights_sha256[:24].replace(":", "-")
    path = home / "int8" / f"{ranges.network}-{digest}-v1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_ranges([ranges]))
    return path
