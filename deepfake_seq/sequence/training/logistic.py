"""Fit a logistic regression to statistics of clips, the baseline of every sequence model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.cores import algebra_for
from deepfake_seq.datasets import grouped_folds
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.preprocessing import statistics
from deepfake_seq.sequence.models.networks import LogisticNetwork
from deepfake_seq.sequence.training.class_balance import Balance

MAX_CLIPS = 8_192
"""Maximum number of training rows; more are sampled, so that their statistics fit into memory."""

_SELECTION_CLIPS = 1_024
"""Maximum number of training rows that the penalty is chosen on."""

_INNER_FOLDS = 5

_VARIANCES = (0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""Prior variances of a clip's logit to choose from; the larger, the weaker the penalty."""

_DEFAULT_VARIANCE = 1.0
Matrix = npt.NDArray[np.float64]


def fit_logistic(
    training: TrainingRows, inputs: str, balance: Balance, seed: int
) -> LogisticNetwork:
    """Fit an L2-regularised regression to standardised statistics.

    The penalty is the one with the lowest log loss on held-out rows of inner folds, which share no
    group with the rows that they are predicted from. The standardisation is folded into the
    weights.

    Args:
        training: Training rows of both classes.
        inputs: Set of statistics; see `preprocessing.statistics`.
        balance: Weights of the classes.
        seed: Seed of the inner folds, and of the sample if there are more than `MAX_CLIPS` rows.
    """
    data = _sample(training, MAX_CLIPS, seed)
    rows = np.concatenate([statistics(arrays, inputs) for arrays in data.batches()])
    mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    # A constant statistic carries no information; dividing would only amplify rounding errors.
    scale = np.where(deviation > 1e-4, deviation, 1.0)
    standardised = (rows - mean) / scale
    weights = np.array([balance.effective["real"], balance.effective["fake"]])[data.labels]
    compact, expand = _compact(standardised)
    unit = max(float(np.square(compact).sum(axis=1).mean()), 1e-12)
    variance = _choose_variance(data, compact / np.sqrt(unit), weights, seed)
    coefficients, intercept = _fit(compact / np.sqrt(unit), data.labels, weights, [variance])[0]
    folded = expand @ (coefficients / np.sqrt(unit)) / scale
    bias = intercept - folded @ mean
    return LogisticNetwork(inputs, folded.astype(np.float32), np.array([bias], dtype=np.float32))


def _sample(data: SequenceData, most: int, seed: int) -> SequenceData:
    if len(data) <= most:
        return data
    chosen = np.random.default_rng(seed).choice(len(data), most, replace=False)
    return data.take(np.sort(chosen))


def _compact(rows: Matrix) -> tuple[Matrix, Matrix]:
    """Rotate N rows with more than N columns into N columns.

    The weights of an L2-regularised regression are a combination of the rows, so that nothing is
    lost, and fitting N columns takes a fraction of the time.

    Returns:
        The rows, (N, R), and the matrix (S, R) that turns weights of R columns into those of S.
    """
    count, width = rows.shape
    if width <= count:
        return rows, np.eye(width)
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > 1e-9 * max(float(values[-1]), 1e-12)
    if not kept.any():  # all rows are equal: scikit-learn needs a column
        return np.zeros((count, 1)), np.zeros((width, 1))
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, rows.T @ (vectors[:, kept] / roots)


def _choose_variance(data: SequenceData, rows: Matrix, weights: Matrix, seed: int) -> float:
    """Return the variance with the lowest log loss on inner folds; on a tie, the smallest.

    Args:
        data: The clips of the rows.
        rows: (N, R), with a mean square of 1 for all R values of a row together.
        weights: Weight of each row, (N,).
        seed: Seed of the folds.
    """
    positions = np.arange(len(data))
    if len(data) > _SELECTION_CLIPS:
        generator = np.random.default_rng(seed)
        positions = np.sort(generator.choice(positions, _SELECTION_CLIPS, replace=False))
    chosen = data.take(positions)
    rows, weights, labels = rows[positions], weights[positions], chosen.labels
    groups = chosen.groups_with_duplicates
    for count in range(_INNER_FOLDS, 1, -1):
        try:
            folds = grouped_folds(labels.tolist(), groups, count, seed)
        except DatasetError:
            continue  # too few groups of a class: try fewer folds
        losses = np.zeros(len(_VARIANCES))
        for fold in folds:
            fits = _fit(rows[fold.rest], labels[fold.rest], weights[fold.rest], _VARIANCES)
            for number, (coefficients, intercept) in enumerate(fits):
                logits = rows[fold.held_out] @ coefficients + intercept
                signs = 2.0 * labels[fold.held_out] - 1.0
                losses[number] += weights[fold.held_out] @ np.logaddexp(0, -signs * logits)
        return _VARIANCES[int(np.argmin(losses))]
    return _DEFAULT_VARIANCE


def _fit(
    rows: Matrix,
    labels: npt.NDArray[np.int64],
    weights: Matrix,
    variances: list[float] | tuple[float, ...],
) -> list[tuple[Matrix, float]]:
    """Return coefficients and intercept for each prior variance."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000, warm_start=True)
    fits = []
    with algebra_for(rows.size):
        for variance in variances:
            model.set_params(C=variance).fit(rows, labels, sample_weight=weights)
            fits.append((model.coef_[0].copy(), float(model.intercept_[0])))
    return fits
