"""How well a model does, and what it has to beat: from the same clips and by the same rules."""

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

_SURE = 40.0
"""The logit whose probability is 1 in float64."""


def evaluate_model(
    ensemble: TrainedEnsemble, test: SequenceData, test_scores: Scores
) -> dict[str, Any]:
    """The metrics of a model on its validation clips and on `test` (None where that is empty)."""
    return {
        "validation": on_validation(ensemble),
        "test": _metrics(test, test_scores, ensemble) if len(test) else None,
    }


def on_validation(ensemble: TrainedEnsemble) -> dict[str, Any]:
    """The metrics of a model on the clips that it was calibrated and decides by."""
    return _metrics(ensemble.validation, ensemble.validation_scores, ensemble)


def baselines(
    pairs: Sequence[Pair], test: SequenceData, recipe: ExperimentConfig
) -> dict[str, Any]:
    """The metrics of each baseline on the validation clips and on `test`."""
    made = {name: make(pairs, recipe) for name, make in BASELINES.items()}
    return {name: evaluate_model(own, test, own.scores(test)) for name, own in made.items()}


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
    """Says the same of every clip."""

    tensors: ClassVar[dict[str, Tensor]] = {}
    parameters: ClassVar[dict[str, int]] = {"total": 0, "trainable": 0}

    def __init__(self, logit: float) -> None:
        self._logit = logit

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """One logit a clip."""
        return np.full(len(arrays[1]), self._logit)


def _majority(pairs: Sequence[Pair], recipe: ExperimentConfig) -> TrainedEnsemble:
    """Calls every clip what most training clips are."""
    balance = Balance.of((), np.concatenate([training.labels for training, _ in pairs]))
    answer = 1.0 if balance.fake >= balance.real else 0.0
    network = _Constant(_SURE if answer else -_SURE)
    held_out = SequenceData.joined([validation for _, validation in pairs])
    clips = ClassCounts(real=held_out.counts["real"], fake=held_out.counts["fake"])
    decision = Decision(
        0.5, (0.5, 0.5), "balanced", recipe.decision.target_fpr, answer, clips, True, {}
    )
    scores = np.full(len(held_out), answer)
    return TrainedEnsemble(
        (TrainedNetwork(network, [], 0, balance),), PlattScaling(), decision, held_out, scores
    )


def _mean_pool(pairs: Sequence[Pair], recipe: ExperimentConfig) -> TrainedEnsemble:
    """Logistic regression on the mean of the valid frames' features."""

    def trainer(training: TrainingRows, validation: SequenceData, seed: int) -> TrainedNetwork:
        balance = Balance.of(("weights",), training.labels)
        return TrainedNetwork(fit_logistic(training, "mean", balance, seed), [], 0, balance)

    return fit_ensemble(pairs, recipe, trainer)


BASELINES: dict[str, Callable[[Sequence[Pair], ExperimentConfig], TrainedEnsemble]] = {
    "majority": _majority,
    "mean_pool_logistic": _mean_pool,
}
"""Calibrated and decided by as the model is, from the same clips."""
