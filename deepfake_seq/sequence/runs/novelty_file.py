"""The novelty score of a run: `novelty.safetensors`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from deepfake_seq import atomic
from deepfake_seq.sequence.evaluation.novelty import CommonSubspace, NoveltyScore
from deepfake_seq.untrusted import check_tensors, damaged, read_tensors

NAME = "novelty.safetensors"

_MAX_BYTES = 1 << 28
_TENSORS = ("mean", "scale", "components", "residuals")


def write_novelty(folder: Path, novelty: NoveltyScore) -> None:
    """Write a novelty score into a run directory."""
    from safetensors.numpy import save

    tensors = {
        f"{number}/{name}": np.ascontiguousarray(getattr(member, name))
        for number, member in enumerate(novelty.members)
        for name in _TENSORS
    }
    atomic.write_bytes(folder / NAME, save(tensors))


def read_novelty(folder: Path, members: int, width: int) -> NoveltyScore | None:
    """Read the novelty score of a run; None if it has none.

    Args:
        folder: Run directory.
        members: Number of networks of the run.
        width: Width D of its features.

    Raises:
        RunError: The file cannot be read, or is damaged.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    tensors = read_tensors(path, _MAX_BYTES)
    prefixes = [f"{number}/" for number in range(members)]
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix in prefixes:
        components, residuals = (
            tensors[prefix + name].size if prefix + name in tensors else 0
            for name in ("components", "residuals")
        )
        shapes |= {
            f"{prefix}mean": (width,),
            f"{prefix}scale": (width,),
            f"{prefix}components": (components // width, width),
            f"{prefix}residuals": (residuals,),
        }
    try:
        check_tensors(tensors, shapes, {f"{prefix}residuals": np.float64 for prefix in prefixes})
    except ValueError as error:
        raise damaged(path, str(error)) from error
    parts = [
        CommonSubspace(**{name: tensors[prefix + name] for name in _TENSORS}) for prefix in prefixes
    ]
    if any((part.scale <= 0).any() or (part.residuals < 0).any() for part in parts):
        raise damaged(path, "a value is out of range")
    return NoveltyScore(tuple(parts))
