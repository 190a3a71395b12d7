"""From clips to a model that scores and decides: train, calibrate, choose the threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from deepfake_seq.config import DecisionConfig, ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.features import Rows
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.metrics import Scores
from deepfake_seq.sequence.evaluation.threshold import Decision, decide
from deepfake_seq.sequence.models.networks import Network, mean_logits
from deepfake_seq.sequence.splits.split import make_folds
from deepfake_seq.sequence.training.train import OnEpoch, TrainedNetwork, predict_logits, train

FEW_CLIPS = 400
FEW_CLIPS_MEMBERS = 5

Pair = tuple[SequenceData, SequenceData]
TrainMember = Callable[[TrainingRows, SequenceData, int], TrainedNetwork]
"""Trains on the rows, stops by the clips; the number is the member's seed."""


@dataclass(frozen=True)
class ExperimentConfig:
    """All settings of stage 2."""

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)


@dataclass(frozen=True, eq=False)
class TrainedEnsemble:
    """A model that scores and decides, and how it got there.

    Attributes:
        members: What was trained, one network each.
        calibration: From the mean of their logits to a probability.
        decision: From a probability to a call.
        validation: The clips that both come from, in the order of `validation_scores`; where they
            have no fakes, the calibration comes from what was trained on.
        validation_scores: (N,); each clip is scored by a network that was not trained on it.
    """

    members: tuple[TrainedNetwork, ...]
    calibration: PlattScaling
    decision: Decision
    validation: SequenceData
    validation_scores: Scores

    @property
    def warnings(self) -> list[str]:
        """What a reader of the metrics must be told of the training and the decision."""
        first = self.members[0]
        warnings = [*first.balance.warnings, *self.decision.warnings]
        if first.history and not self.decision.knows_fakes:
            warnings.append(
                f"Without fakes among the validation clips nothing tells when to stop: training "
                f"ran for all {len(first.history)} epochs, and the last one was kept."
            )
        return warnings

    @property
    def networks(self) -> tuple[Network, ...]:
        """The trained networks."""
        return tuple(member.network for member in self.members)

    def scores(self, data: SequenceData) -> Scores:
        """Calibrated probabilities of fake, (N,)."""
        logits = [mean_logits(self.networks, batch) for batch in data.batches()]
        return self.calibration.apply(np.concatenate([np.zeros(0), *logits]))


def pairs_of(
    data: SequenceData, train: Rows, validation: Rows, recipe: ExperimentConfig
) -> list[Pair]:
    """What each member is trained on and what it is validated on.

    One member takes the two parts as they are. Several deal both out anew into as many folds, and
    each is validated on one of them; where nobody asked for several and there are too few groups
    for that, one does.

    Args:
        data: All clips.
        train: Positions of those for training.
        validation: Positions of those for validation.
        recipe: How many members, and the seed.

    Raises:
        DatasetError: There are too few groups for as many members as were asked for.
    """
    both = data.take(np.sort(np.concatenate([train, validation])))
    folds = []
    count = members_of(recipe, len(both))
    if count > 1:
        try:
            folds = make_folds(both, count, recipe.split.seed)
        except DatasetError:
            if recipe.train.members:  # who asks for a number gets that number or an error
                raise
    if not folds:
        return [(data.take(train), data.take(validation))]
    return [(both.take(rest), both.take(held_out)) for rest, held_out in folds]


def _seed_of(seed: int, member: int) -> int:
    """Other members start from other weights, and none from those of another seed's."""
    if not member:
        return seed
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0])


def members_of(recipe: ExperimentConfig, clips: int) -> int:
    """How many networks to train at most, with `clips` for training and validation together."""
    return recipe.train.members or (FEW_CLIPS_MEMBERS if clips < FEW_CLIPS else 1)


def fit_ensemble(
    pairs: Sequence[Pair],
    recipe: ExperimentConfig,
    trainer: TrainMember | None = None,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> TrainedEnsemble:
    """Train a member on each pair, then calibrate and decide by all that they held out.

    This is where the views of the training clips come in, and the only place. Where no fake was
    held out, the calibration is fitted to what each member was trained on, views included.

    Args:
        pairs: Clips to train on and to validate on, one pair a member; no clip is validated twice.
        recipe: The settings.
        trainer: Trains a member; the recipe's model by default.
        on_epoch: Called after each epoch of each member.

    Raises:
        DatasetError: Neither what was held out nor what was trained on has both classes.
        TrainingError: It diverged.
    """

    def default(training: TrainingRows, validation: SequenceData, seed: int) -> TrainedNetwork:
        config = replace(recipe.train, seed=seed)
        return train(training, validation, recipe.model, config, on_epoch)

    members, logits = [], []
    for number, (training, validation) in enumerate(pairs):
        seed = _seed_of(recipe.train.seed, number)
        members.append((trainer or default)(training.with_views(), validation, seed))
        logits.append(predict_logits(members[-1].network, validation))
    held_out = SequenceData.joined([validation for _, validation in pairs])
    labels, values = held_out.labels, np.concatenate(logits)
    if len(np.unique(labels)) == 2:
        calibration = PlattScaling.fit(labels, values)
    else:
        calibration = _calibrated_on_training(members, pairs)
    scores = calibration.apply(values)
    decision = decide(labels, scores, recipe.decision)
    return TrainedEnsemble(tuple(members), calibration, decision, held_out, scores)


def _calibrated_on_training(
    members: Sequence[TrainedNetwork], pairs: Sequence[Pair]
) -> PlattScaling:
    """The calibration where no fake was held out: by what each member was trained on."""
    labels, logits = [], []
    for member, (training, _) in zip(members, pairs, strict=True):
        rows = training.with_views()
        own, said = member.on_training or (rows.labels, predict_logits(member.network, rows))
        labels.append(own)
        logits.append(said)
    known = np.concatenate(labels)
    if len(np.unique(known)) < 2:
        raise DatasetError(
            "both classes are needed to calibrate by, among the clips for validation or those for "
            f"training. Received: {(known == REAL).sum()} real and {(known == FAKE).sum()} fake"
        )
    return PlattScaling.fit(known, np.concatenate(logits))
