"""Test how far each evidence block alone predicts size and compression of the clips.

A block that predicts them well may tell real from fake clips by how they were encoded. Such a model
fails on clips that were encoded in another way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Rows, columns_of
from deepfake_seq.sequence.data.preprocessing import statistics
from deepfake_seq.sequence.splits.shortcut_probe import (
    Table,
    bits_per_pixel,
    fact_table,
    probe_folds,
)

MAX_CLIPS = 256
"""Maximum number of clips; more are sampled, because the time grows with the cube of the number."""

_MIN_CLIPS = 20
"""Minimum number of clips with a known value; R² on fewer says little."""

_FACTS = ("face size", "width", "bit rate")
_PENALTIES = tuple(10.0**power for power in range(-4, 4))
"""Penalties to choose from, for rows with a mean square length of about 1."""

_DIGITS = 3


def probe_blocks(data: SequenceData, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return the R² with which each block predicts each fact, on groups not trained on.

    The facts are the side of the face and the width of the frame in pixels, the bit rate, and the
    bits per pixel of the video, a measure of how strongly it is compressed.

    A ridge regression on the means of the block over a clip's frames predicts the logarithm of the
    fact. Its penalty is the one with the lowest leave-one-out error in training. R² is 1 if all
    values are predicted exactly, and about 0 (or less) if the block is no better than the mean of
    the training clips.

    Args:
        data: The clips; at most `MAX_CLIPS` of them are used.
        seed: Seed of the sample and of the folds.

    Returns:
        R² by block and by fact. Facts that hardly any clip has, or that do not vary, are left out;
        all facts if there are too few groups for two folds.
    """
    if len(data) > MAX_CLIPS:
        chosen = np.random.default_rng(seed).choice(len(data), MAX_CLIPS, replace=False)
        data = data.take(np.sort(chosen))
    table, names = fact_table(data.clips)
    facts = {name: table[:, names.index(name)] for name in _FACTS}
    facts["bits per pixel"] = np.array([bits_per_pixel(clip) for clip in data.clips])
    facts = {name: values for name, values in facts.items() if _varies(values)}
    try:
        folds = probe_folds(data, seed) if facts else []
    except DatasetError:
        folds = []
    if not folds:
        return {}
    rows = np.concatenate([statistics(arrays, "mean") for arrays in data.batches()])
    widths = data.features.blocks
    kernels = {name: _kernel(rows[:, columns_of(widths, [name])]) for name in widths}
    found: dict[str, dict[str, float]] = {name: {} for name in kernels}
    for fact, values in facts.items():
        targets = np.log(np.where(values > 0, values, 1.0))
        for name, kernel in kernels.items():
            errors = spread = 0.0
            for fold in folds:
                rest, held_out = (part[values[part] > 0] for part in (fold.rest, fold.held_out))
                if not len(rest):
                    continue
                mean = targets[rest].mean()
                predicted = mean + _predict(kernel, rest, held_out, targets[rest] - mean)
                errors += float(np.square(targets[held_out] - predicted).sum())
                spread += float(np.square(targets[held_out] - mean).sum())
            if spread:
                found[name][fact] = round(1 - errors / spread, _DIGITS)
    return found if any(found.values()) else {}


def _varies(values: Table) -> bool:
    """Return whether enough values are known, and differ by more than rounding."""
    known = values[values > 0]
    return len(known) >= _MIN_CLIPS and float(np.log(known).std()) > 1e-3


def _kernel(rows: npt.NDArray[np.float32]) -> Table:
    """Return the inner products of rows, (N, N), whose columns have mean 0 and deviation 1.

    They are divided by the number of columns, so that the mean of the diagonal is 1.
    """
    exact = rows.astype(np.float64)
    exact -= exact.mean(axis=0)
    deviation = exact.std(axis=0)
    exact /= np.where(deviation > 1e-6, deviation, np.inf)
    return np.asarray(exact @ exact.T / exact.shape[1])


def _predict(kernel: Table, rest: Rows, held_out: Rows, targets: Table) -> Table:
    """Predict the targets of held-out rows by a ridge regression without intercept.

    With the eigenvectors of the kernel, the leave-one-out errors of all penalties take no more than
    one fit (Golub, Heath and Wahba, 1979).

    Args:
        kernel: Inner products of all rows, (N, N).
        rest: Positions of the M rows to fit.
        held_out: Positions of the rows to predict.
        targets: Targets of the rows to fit, (M,).
    """
    values, vectors = np.linalg.eigh(kernel[np.ix_(rest, rest)])
    projected, squares = vectors.T @ targets, np.square(vectors)
    best, chosen = np.inf, targets
    for penalty in _PENALTIES:
        shrunk = 1 / (np.maximum(values, 0) + penalty)
        dual = vectors @ (shrunk * projected)
        error = float(np.square(dual / (squares @ shrunk)).sum())
        if error < best:
            best, chosen = error, dual
    return np.asarray(kernel[np.ix_(held_out, rest)] @ chosen)
