"""The two training phases, with a network that only records its calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfake_seq.config import FinetuneConfig
from deepfake_seq.errors import RunError, TrainingError, UsageError
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.finetune.checkpoint import Checkpoints
from deepfake_seq.finetune.stream import FrameBatch
from deepfake_seq.finetune.trainer import phases_of, train
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.train import TrainedNetwork

CONFIG = FinetuneConfig(head_epochs=2, epochs=2)


class RecordingCnn:
    """Has one weight, to which each step adds 1; its logits improve until epoch `best`."""

    layers = 19
    row = BACKBONE_TABLE["vgg16"]

    def __init__(self, best: int = 3, loss: float = 0.5) -> None:
        self.weights = [np.zeros(1, np.float32)]
        self.optimizer_state = [np.zeros((), np.int64)]
        self.phases: list[tuple[int, float]] = []
        self.seeds: list[int] = []
        self._best, self._loss = best, loss

    def begin_phase(self, unfrozen: int, learning_rate: float) -> None:
        self.phases.append((unfrozen, learning_rate))
        self.optimizer_state = [np.zeros((), np.int64)]

    def seed_dropout(self, seed: int) -> None:
        self.seeds.append(seed)

    def step(self, *batch: Any) -> float:
        self.weights = [self.weights[0] + 1]
        self.optimizer_state = [self.optimizer_state[0] + 1]
        return self._loss * 2

    @property
    def network(self) -> RecordingCnn:
        return self

    def logits(self, arrays: Any) -> np.ndarray:
        features = arrays[0][:, 0, 0].astype(float)
        return -abs(self.weights[0][0] / 2 - self._best) * features + 0.1 * features


class TwoBatches:
    """Two batches of two frames in every epoch."""

    balance = Balance.of(("weights",), np.array([0, 1]))

    def epoch(self, number: int) -> Iterator[FrameBatch]:
        for _ in range(2):
            yield FrameBatch(
                np.zeros((2, 32, 32, 3), np.uint8),
                np.zeros((2, 6), np.float32),
                np.array([0, 1]),
                np.ones(2, np.float32),
            )


def clips(*labels: int) -> SequenceData:
    """Make a clip for each label, whose only feature is its label."""
    features = np.array(labels, np.float16)[:, None, None] * 2 - 1
    known = tuple(Clip(f"{n}.mp4", label) for n, label in enumerate(labels))
    arrays = ArrayFeatures(features, np.ones((len(labels), 1), dtype=np.bool_))
    return SequenceData(known, arrays, np.arange(len(labels)))


def trained(
    out: Path, cnn: Any, config: FinetuneConfig = CONFIG, validation: SequenceData | None = None
) -> TrainedNetwork:
    checkpoints = Checkpoints(out, {})
    with checkpoints.locked():
        return train(cnn, TwoBatches(), validation or clips(0, 1, 0, 1), config, checkpoints)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "unfreeze", "expected"),
    [
        ("vgg16", -1, 19),
        ("vgg16", 4, 4),
        ("efficientnet_b1", -1, 80),
        ("efficientnet_b1", 0, 19),
        ("inception_v3", -1, 62),
        ("resnet50", -1, 32),
    ],
)
def test_the_second_phase_unfreezes_the_requested_or_default_layers(
    name: str, unfreeze: int, expected: int
) -> None:
    cnn: Any = RecordingCnn()
    cnn.row = BACKBONE_TABLE[name]
    first, second = phases_of(replace(CONFIG, unfreeze=unfreeze), cnn)
    assert (first.epochs, first.unfrozen, first.learning_rate) == (2, 0, 1e-3)
    assert (second.epochs, second.unfrozen, second.learning_rate) == (2, expected, 1e-5)


def test_by_default_phase_1_has_15_epochs_and_both_have_25() -> None:
    cnn: Any = RecordingCnn()
    assert [phase.epochs for phase in phases_of(FinetuneConfig(), cnn)] == [15, 25]


def test_a_phase_without_epochs_is_left_out(tmp_path: Path) -> None:
    cnn = RecordingCnn()
    trained(tmp_path / "run", cnn, replace(CONFIG, head_epochs=0))
    assert cnn.phases == [(19, 1e-5)]


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    cnn = RecordingCnn(best=3)
    result = trained(tmp_path / "run", cnn)
    assert [row["val_auc"] for row in result.history] == [0.0, 0.0, 1.0, 0.0]
    assert result.best_epoch == 3
    assert cnn.weights[0] == 6  # the weights after epoch 3
    assert [row["loss"] for row in result.history] == [0.5] * 4


def test_with_validation_clips_of_one_class_the_last_epoch_is_kept(tmp_path: Path) -> None:
    result = trained(tmp_path / "run", RecordingCnn(best=2), validation=clips(0, 0))
    assert result.best_epoch == 4
    assert all(np.isnan(row["val_auc"]) for row in result.history)


def test_each_epoch_has_another_dropout_seed(tmp_path: Path) -> None:
    one, other, third = RecordingCnn(), RecordingCnn(), RecordingCnn()
    trained(tmp_path / "a", one)
    trained(tmp_path / "b", other)
    trained(tmp_path / "c", third, replace(CONFIG, seed=1))
    assert len(set(one.seeds)) == 4
    assert one.seeds == other.seeds != third.seeds


def test_a_training_interrupted_after_the_last_epoch_has_the_same_result(tmp_path: Path) -> None:
    trained(tmp_path / "run", RecordingCnn())
    cnn = RecordingCnn()
    trained(tmp_path / "run", cnn)
    assert (cnn.phases, cnn.seeds) == ([(19, 1e-5)], [])


@pytest.mark.parametrize("epochs", range(1, 4))
def test_an_interrupted_training_resumes_at_the_next_epoch(epochs: int, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", RecordingCnn())

    class Ends(RecordingCnn):
        def step(self, *batch: Any) -> float:
            if self.weights[0] == 2 * epochs + 1:  # in the middle of an epoch
                raise KeyboardInterrupt
            return super().step(*batch)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", Ends())
    cnn = RecordingCnn()
    result = trained(tmp_path / "run", cnn)
    assert result.history == whole.history
    assert (result.best_epoch, cnn.weights[0]) == (3, 6)
    assert len(cnn.phases) == (2 if epochs == 1 else 1)
    assert len(cnn.seeds) == 4 - epochs
    assert cnn.optimizer_state[0] == 4  # the steps of the second phase only


def test_a_diverging_training_suggests_a_lower_learning_rate(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch 1: .* lower --learning-rate"):
        trained(tmp_path / "a", RecordingCnn(loss=np.inf))
    with pytest.raises(TrainingError, match="lower --fine-learning-rate"):
        trained(tmp_path / "b", RecordingCnn(loss=np.nan), replace(CONFIG, head_epochs=0))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "run", RecordingCnn())
    other = RecordingCnn()
    other.weights = [np.zeros(2, np.float32)]
    with pytest.raises(RunError, match="of another CNN, head or optimizer"):
        trained(tmp_path / "run", other)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("head", "gru"),
        ("dropout", 1.0),
        ("input_size", 8),
        ("head_epochs", -1),
        ("unfreeze", -2),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("fine_learning_rate", 2.0),
        ("precision", "int8"),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(UsageError):
        FinetuneConfig(**{setting: value})


def test_a_training_without_epochs_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one epoch"):
        FinetuneConfig(head_epochs=0, epochs=0)
