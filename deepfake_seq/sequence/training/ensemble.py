"""Train an ensemble of networks, calibrate it and choose its threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from deepfake_seq.config import (
    FEW_CLIPS,
    FEW_CLIPS_MEMBERS,
    TRAINING_MEMORY_BYTES,
    DecisionConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.cores import algebra_for
from deepfake_seq.datasets import FAKE, REAL, Split
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.preprocessing import input_width
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.metrics import Scores
from deepfake_seq.sequence.evaluation.threshold import Decision, decide
from deepfake_seq.sequence.models.networks import Network, mean_logits
from deepfake_seq.sequence.models.sequence_model import has_layers, shapes
from deepfake_seq.sequence.splits.split import make_folds
from deepfake_seq.sequence.training.parallel import run_parallel
from deepfake_seq.sequence.training.train import OnEpoch, TrainedNetwork, predict_logits, train

Pair = tuple[SequenceData, SequenceData]
"""Training and validation clips of one member."""

TrainMember = Callable[[TrainingRows, SequenceData, int], TrainedNetwork]
"""Trains one member on training rows, with early stopping on validation clips, from a seed."""

_WEIGHT_COPIES = 6
"""Weights, gradients, two moments of Adam, and the weights of the last and of the best epoch."""


@dataclass(frozen=True)
class ExperimentConfig:
    """All settings of stage 2."""

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)


@dataclass(frozen=True, eq=False)
class TrainedEnsemble:
    """Trained networks with their calibration and decision threshold.

    Attributes:
        members: The trained networks.
        calibration: Map from the mean of their logits to a probability of fake.
        decision: Threshold and abstention band on that probability.
        validation: Validation clips that calibration and decision were fitted on. Without fakes
            among them, the calibration was fitted on the training rows.
        validation_scores: Calibrated scores of `validation`, (N,). Each clip is scored by a member
            that was not trained on it.
    """

    members: tuple[TrainedNetwork, ...]
    calibration: PlattScaling
    decision: Decision
    validation: SequenceData
    validation_scores: Scores

    @property
    def warnings(self) -> list[str]:
        """Warnings about the training and the decision."""
        first = self.members[0]
        warnings = [*first.balance.warnings, *self.decision.warnings]
        if first.history and not self.decision.knows_fakes:
            warnings.append(
                f"Early stopping was off, because there are no fake validation clips: training ran "
                f"for all {len(first.history)} epochs, and the last epoch was kept."
            )
        return warnings

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks of the members."""
        return tuple(member.network for member in self.members)

    def scores(self, data: SequenceData) -> Scores:
        """Return the calibrated probability of fake for each clip, (N,)."""
        logits = [mean_logits(self.networks, batch) for batch in data.batches()]
        return self.calibration.apply(np.concatenate([np.zeros(0), *logits]))


def member_pairs(data: SequenceData, split: Split, config: ExperimentConfig) -> list[Pair]:
    """Return the training and validation clips of each member.

    One member uses the given training and validation clips. Several members split both together
    into one fold each, and each member is validated on its own fold. If the default number of
    members needs more groups than there are, one member is trained.

    A member whose training clips include fakes is trained without self-blended ones, unless
    `config` asks for them: on the features of a frozen CNN, they made detection worse.

    Args:
        data: All clips.
        split: Positions of the training and validation clips.
        config: Settings with the number of members and the seed.

    Raises:
        DatasetError: There are too few groups for the number of members in `config`.
    """
    both = data.take(np.sort(np.concatenate([split.train, split.validation])))
    folds = []
    count = member_count(config, len(both))
    if count > 1:
        try:
            folds = make_folds(both, count, config.split.seed)
        except DatasetError:
            if config.train.members:  # an explicit number is never reduced silently
                raise
    pairs = [(both.take(rest), both.take(held_out)) for rest, held_out in folds]
    pairs = pairs or [(data.take(split.train), data.take(split.validation))]
    return [(_training_clips(training, config), held_out) for training, held_out in pairs]


def _training_clips(training: SequenceData, config: ExperimentConfig) -> SequenceData:
    """Return training clips without their pseudo-fakes, if there are real fakes among them.

    With `--auxiliary masks`, the second output is still trained on these.
    """
    if config.train.pseudo_fakes or not training.counts["fake"]:
        return training
    return training.without_pseudo_fakes()


def member_count(config: ExperimentConfig, clips: int) -> int:
    """Return the maximum number of members for `clips` training and validation clips."""
    return config.train.members or (FEW_CLIPS_MEMBERS if clips < FEW_CLIPS else 1)


def fit_ensemble(
    pairs: Sequence[Pair],
    config: ExperimentConfig,
    train_member: TrainMember | None = None,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> TrainedEnsemble:
    """Train one member per pair, then calibrate and choose the threshold on the validation clips.

    Only this function adds the views of the training clips. Without a fake validation clip, the
    calibration is fitted on the training rows of each member, including views.

    Args:
        pairs: Training and validation clips of each member; no clip is validated twice.
        config: Settings of the experiment.
        train_member: Trains one member; by default the model of `config`.
        on_epoch: Called after each epoch of each member.

    Raises:
        DatasetError: Neither validation clips nor training rows include both classes.
        TrainingError: Training diverged.
    """
    if train_member:
        members = [
            train_member(training.with_views(), validation, _member_seed(config.train.seed, number))
            for number, (training, validation) in enumerate(pairs)
        ]
    else:
        members = _train_members(pairs, config, on_epoch)
    logits = [
        predict_logits(member.network, validation)
        for member, (_, validation) in zip(members, pairs, strict=True)
    ]
    held_out = SequenceData.joined([validation for _, validation in pairs])
    labels, held_out_logits = held_out.labels, np.concatenate(logits)
    if len(np.unique(labels)) == 2:
        calibration = PlattScaling.fit(labels, held_out_logits)
    else:
        calibration = _calibrate_on_training(members, pairs)
    scores = calibration.apply(held_out_logits)
    smallest = math.floor(min(clip.face_pixels for clip in held_out.clips))
    decision = replace(decide(labels, scores, config.decision), smallest_face=smallest)
    return TrainedEnsemble(tuple(members), calibration, decision, held_out, scores)


def _train_members(
    pairs: Sequence[Pair], config: ExperimentConfig, on_epoch: OnEpoch
) -> list[TrainedNetwork]:
    """Train the configured model once per pair, at the same time if that is faster."""
    masks = config.train.auxiliary == "masks" and has_layers(config.model)

    def member(number: int, check: Callable[[], None] = lambda: None) -> TrainedNetwork:
        training, validation = pairs[number]

        def after_epoch(epoch: int, row: dict[str, float]) -> None:
            check()
            on_epoch(epoch, row)

        seeded = replace(config.train, seed=_member_seed(config.train.seed, number))
        rows = training.with_views(masks=masks)
        return train(rows, validation, config.model, seeded, after_epoch)

    if not _train_at_once(pairs, config):
        training = pairs[0][0]
        rows = min(config.train.batch_size, len(training))
        with algebra_for(rows * math.prod(training.features.shape[1:])):
            return [member(number) for number in range(len(pairs))]
    return run_parallel([partial(member, number) for number in range(len(pairs))])


def _train_at_once(pairs: Sequence[Pair], config: ExperimentConfig) -> bool:
    """Return whether to train all members at the same time, each on one core.

    Only NumPy's networks gain: Keras uses all cores, and a logistic regression takes less than a
    second. The inputs and weights of all members together must fit in the memory for the inputs of
    one.
    """
    if len(pairs) == 1 or config.train.runtime != "numpy" or config.model.name == "logistic":
        return False
    rows = sum(len(training.with_views(masks=True)) for training, _ in pairs)
    frames, width = pairs[0][0].features.shape[1:]
    inputs = rows * frames * input_width(config.model.inputs, width)
    weights = 0
    if has_layers(config.model):
        weights = sum(math.prod(shape) for shape in shapes(config.model, width).values())
    return 4 * (inputs + _WEIGHT_COPIES * weights * len(pairs)) <= TRAINING_MEMORY_BYTES


def _member_seed(seed: int, member: int) -> int:
    """Return the seed of one member; members of different seeds share none."""
    if not member:
        return seed
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0])


def _calibrate_on_training(
    members: Sequence[TrainedNetwork], pairs: Sequence[Pair]
) -> PlattScaling:
    """Fit the calibration on the training rows, for validation clips of a single class."""
    all_labels, all_logits = [], []
    for member, (training, _) in zip(members, pairs, strict=True):
        rows = training.with_views()
        member_labels, member_logits = member.on_training or (
            rows.labels,
            predict_logits(member.network, rows),
        )
        all_labels.append(member_labels)
        all_logits.append(member_logits)
    labels = np.concatenate(all_labels)
    if len(np.unique(labels)) < 2:
        raise DatasetError(
            "calibration needs both classes among the validation clips or the training clips. "
            f"Received: {(labels == REAL).sum()} real and {(labels == FAKE).sum()} fake"
        )
    return PlattScaling.fit(labels, np.concatenate(all_logits))
