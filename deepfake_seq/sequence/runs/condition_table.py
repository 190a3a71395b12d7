"""The table of error rates by conditions in a run: `conditions.safetensors`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from deepfake_seq import atomic
from deepfake_seq.sequence.evaluation.matched import CONDITIONS, ConditionTable
from deepfake_seq.untrusted import damaged, read_tensors

NAME = "conditions.safetensors"

_MAX_BYTES = 1 << 28
_REMEDY = "Remove the file, or write it again with `deepseq stress`."
_DTYPES = {
    "labels": np.uint8,
    "unit": np.int32,
    "unchanged": np.float32,
    "clip": np.int32,
    "scores": np.float32,
    "conditions": np.float32,
}


def write_table(folder: Path, table: ConditionTable) -> Path:
    """Write a table into a run directory, without pixels or names; return its path."""
    from safetensors.numpy import save

    tensors = {name: getattr(table, name).astype(kind) for name, kind in _DTYPES.items()}
    atomic.write_bytes(folder / NAME, save(tensors))
    return folder / NAME


def read_table(folder: Path) -> ConditionTable | None:
    """Read the table of a run; None if it has none.

    Raises:
        RunError: The file cannot be read, or is damaged.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    tensors = read_tensors(path, _MAX_BYTES, _REMEDY)
    if tensors.keys() != _DTYPES.keys():
        raise damaged(path, f"it must contain {', '.join(_DTYPES)}", _REMEDY)
    for name, tensor in tensors.items():
        if tensor.dtype != _DTYPES[name] or not np.isfinite(tensor).all():
            raise damaged(path, f"{name} must be finite {np.dtype(_DTYPES[name])}", _REMEDY)
    clips, versions = len(tensors["labels"]), len(tensors["clip"])
    shapes = {
        **dict.fromkeys(("labels", "unit", "unchanged"), (clips,)),
        **dict.fromkeys(("clip", "scores"), (versions,)),
        "conditions": (versions, len(CONDITIONS)),
    }
    if any(tensors[name].shape != shape for name, shape in shapes.items()):
        raise damaged(path, "its tensors have different lengths", _REMEDY)
    clip, unit, scores = tensors["clip"], tensors["unit"], tensors["scores"]
    valid = [
        clips > 0,
        (tensors["labels"] <= 1).all(),
        ((unit >= 0) & (unit < max(clips, 1))).all(),
        ((clip >= 0) & (clip < clips)).all(),
        all(((part >= 0) & (part <= 1)).all() for part in (scores, tensors["unchanged"])),
        (tensors["conditions"] >= 0).all(),
    ]
    if not all(valid):
        raise damaged(path, "a value is out of range", _REMEDY)
    return ConditionTable(
        labels=tensors["labels"].astype(np.int64),
        unit=unit.astype(np.int64),
        unchanged=tensors["unchanged"].astype(np.float64),
        clip=clip.astype(np.int64),
        scores=scores.astype(np.float64),
        conditions=tensors["conditions"].astype(np.float64),
    )
