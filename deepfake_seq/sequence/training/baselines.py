"""Evaluate a trained ensemble, and the baselines that it has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.features import Arrays, Tensor
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.metrics import Scores, at_threshold
from deepfake_seq.sequence.evaluation.threshold import ClassCounts, Decision
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.ensemble import (
    ExperimentConfig,
    Pair,
    TrainedEnsemble,
    fit_ensemble,
)
from deepfake_seq.sequence.training.logistic import fit_logistic
from deepfake_seq.sequence.training.train import TrainedNetwork

_CERTAIN_LOGIT = 40.0
"""Logit whose probability is 1 in float64."""


def evaluate_ensemble(
    ensemble: TrainedEnsemble, test: SequenceData, baselines: dict[str, Any]
) -> tuple[Scores, dict[str, Any]]:
    """Evaluate an ensemble on its validation clips and, once, on the test clips.

    Args:
        ensemble: The model.
        test: The test clips; possibly none.
        baselines: Metrics of each baseline; see `evaluate_baselines`.

    Returns:
        The scores of the test clips, (N,), and the content of `metrics.json`: `validation`, `test`
        (None without test clips) and `baselines`.
    """
    test_scores = ensemble.scores(test)
    return test_scores, {**_on_both_splits(ensemble, test, test_scores), "baselines": baselines}


def evaluate_baselines(
    pairs: Sequence[Pair], test: SequenceData, config: ExperimentConfig
) -> dict[str, Any]:
    """Train each baseline and evaluate it on the validation and test clips.

    Args:
        pairs: Training and validation clips of each member of the model.
        test: The test clips; possibly none.
        config: Settings of the experiment.

    Returns:
        The metrics of each baseline, by its name.
    """
    ensembles = {name: fit_baseline(pairs, config) for name, fit_baseline in BASELINES.items()}
    return {
        name: _on_both_splits(ensemble, test, ensemble.scores(test))
        for name, ensemble in ensembles.items()
    }


def evaluate_validation(ensemble: TrainedEnsemble) -> dict[str, Any]:
    """Return the metrics of an ensemble on its validation clips."""
    return _metrics(ensemble.validation, ensemble.validation_scores, ensemble)


def _on_both_splits(
    ensemble: TrainedEnsemble, test: SequenceData, test_scores: Scores
) -> dict[str, Any]:
    return {
        "validation": evaluate_validation(ensemble),
        "test": _metrics(test, test_scores, ensemble) if len(test) else None,
    }


def _metrics(data: SequenceData, scores: Scores, ensemble: TrainedEnsemble) -> dict[str, Any]:
    decision = ensemble.decision
    return at_threshold(
        data.labels,
        scores,
        decision.threshold,
        band=decision.band,
        groups=data.groups_with_duplicates,
    )


class _Constant:
    """A network that returns the same logit for every clip."""

    tensors: ClassVar[dict[str, Tensor]] = {}
    parameters: ClassVar[dict[str, int]] = {"total": 0, "trainable": 0}

    def __init__(self, logit: float) -> None:
        self._logit = logit

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return one logit per clip, (N,)."""
        return np.full(len(arrays[1]), self._logit)


def _fit_majority(pairs: Sequence[Pair], config: ExperimentConfig) -> TrainedEnsemble:
    """Predict the majority class of the training clips for every clip."""
    balance = Balance.of((), np.concatenate([training.labels for training, _ in pairs]))
    score = 1.0 if balance.fake >= balance.real else 0.0
    network = _Constant(_CERTAIN_LOGIT if score else -_CERTAIN_LOGIT)
    held_out = SequenceData.joined([validation for _, validation in pairs])
    clips = ClassCounts(real=held_out.counts["real"], fake=held_out.counts["fake"])
    decision = Decision(
        0.5, (0.5, 0.5), "balanced", config.decision.target_fpr, score, clips, True, {}
    )
    scores = np.full(len(held_out), score)
    return TrainedEnsemble(
        (TrainedNetwork(network, [], 0, balance),), PlattScaling(), decision, held_out, scores
    )


def _fit_mean_pool(pairs: Sequence[Pair], config: ExperimentConfig) -> TrainedEnsemble:
    """Fit a logistic regression to the mean of the valid frames' features."""

    def train_member(training: TrainingRows, validation: SequenceData, seed: int) -> TrainedNetwork:
        balance = Balance.of(("weights",), training.labels)
        return TrainedNetwork(fit_logistic(training, "mean", balance, seed), [], 0, balance)

    return fit_ensemble(pairs, config, train_member)


BASELINES: dict[str, Callable[[Sequence[Pair], ExperimentConfig], TrainedEnsemble]] = {
    "majority": _fit_majority,
    "mean_pool_logistic": _fit_mean_pool,
}
"""Each baseline is trained, calibrated and given its threshold on the same clips as the model."""
