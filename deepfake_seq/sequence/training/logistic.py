"""Logistic regression on clip statistics: what a sequence model has to beat."""

from __future__ import annotations

import numpy as np

from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.models.networks import LogisticNetwork, statistics
from deepfake_seq.sequence.training.class_balance import Balance

MAX_CLIPS = 8_192
"""More rows to train on than this are sampled: their statistics must fit into memory."""


def fit_logistic(
    training: TrainingRows, inputs: str, balance: Balance, seed: int
) -> LogisticNetwork:
    """Fit with scikit-learn's ridge on standardised statistics, and fold the scaling in.

    Args:
        training: Clips, and views of them, of both classes.
        inputs: Which statistics; see `networks.statistics`.
        balance: How much each clip counts.
        seed: Which rows are taken where there are more than `MAX_CLIPS`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data: SequenceData = training
    if len(data) > MAX_CLIPS:
        chosen = np.random.default_rng(seed).choice(len(data), MAX_CLIPS, replace=False)
        data = data.take(np.sort(chosen))
    rows = np.concatenate([statistics(arrays, inputs) for arrays in data.batches()])
    scaler = StandardScaler(copy=False).fit(rows)
    # A statistic that never changes tells nothing, and its rounding errors must not be blown up.
    scale = np.where(scaler.scale_ > 1e-4, scaler.scale_, 1.0)
    standard = (rows - scaler.mean_) / scale
    weights = np.array([balance.effective["real"], balance.effective["fake"]])
    model = LogisticRegression(max_iter=1000)
    model.fit(standard, data.labels, sample_weight=weights[data.labels])
    folded = model.coef_[0] / scale
    bias = float(model.intercept_[0] - folded @ scaler.mean_)
    return LogisticNetwork(inputs, folded.astype(np.float32), np.array([bias], dtype=np.float32))
