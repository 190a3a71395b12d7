"""Fit a logistic regression to statistics of clips, the baseline of every sequence model."""

from __future__ import annotations

import numpy as np

from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.preprocessing import statistics
from deepfake_seq.sequence.models.networks import LogisticNetwork
from deepfake_seq.sequence.training.class_balance import Balance

MAX_CLIPS = 8_192
"""Maximum number of training rows; more are sampled, so that their statistics fit into memory."""


def fit_logistic(
    training: TrainingRows, inputs: str, balance: Balance, seed: int
) -> LogisticNetwork:
    """Fit scikit-learn's L2-regularised regression to standardised statistics.

    The standardisation is folded into the weights.

    Args:
        training: Training rows of both classes.
        inputs: Set of statistics; see `networks.statistics`.
        balance: Weights of the classes.
        seed: Seed of the sample if there are more than `MAX_CLIPS` rows.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data: SequenceData = training
    if len(data) > MAX_CLIPS:
        chosen = np.random.default_rng(seed).choice(len(data), MAX_CLIPS, replace=False)
        data = data.take(np.sort(chosen))
    rows = np.concatenate([statistics(arrays, inputs) for arrays in data.batches()])
    scaler = StandardScaler(copy=False).fit(rows)
    # A constant statistic carries no information; dividing would only amplify rounding errors.
    scale = np.where(scaler.scale_ > 1e-4, scaler.scale_, 1.0)
    standardised = (rows - scaler.mean_) / scale
    weights = np.array([balance.effective["real"], balance.effective["fake"]])
    model = LogisticRegression(max_iter=1000)
    model.fit(standardised, data.labels, sample_weight=weights[data.labels])
    folded = model.coef_[0] / scale
    bias = float(model.intercept_[0] - folded @ scaler.mean_)
    return LogisticNetwork(inputs, folded.astype(np.float32), np.array([bias], dtype=np.float32))
