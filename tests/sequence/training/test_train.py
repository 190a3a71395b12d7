"""Training of one network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepfake_seq.config import TRAINERS, ModelConfig, TrainConfig
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.data.views import MaskShares
from deepfake_seq.sequence.training.train import train

SMALL = ModelConfig("gru", units=(4,), dropout=0.0)
QUICK = TrainConfig(epochs=3, learning_rate=1e-2, batch_size=16)


def clips(count: int, seed: int) -> SequenceData:
    """Return clips with features of width 6; those of the fakes are higher by 1."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = generator.normal(labels[:, None, None], 1.0, (count, 8, 6)).astype(np.float16)
    mask = np.arange(8) < generator.integers(2, 9, count)[:, None]
    rows = tuple(Clip(f"{seed}/{n}", int(label)) for n, label in enumerate(labels))
    return SequenceData(rows, ArrayFeatures(features, mask), np.arange(count))


def losses(config: TrainConfig) -> list[float]:
    trained = train(clips(40, 0).with_views(), clips(20, 1), SMALL, config)
    return [row["val_loss"] for row in trained.history]


def test_both_trainers_train_on_the_same_noisy_inputs() -> None:
    of_trainer = [losses(replace(QUICK, runtime=name)) for name in TRAINERS]
    np.testing.assert_allclose(*of_trainer, rtol=1e-3)


def test_input_noise_and_dropout_change_the_training() -> None:
    changes = ({}, {"input_noise": 0.0}, {"input_dropout": 0.0}, {"seed": 1})
    assert len({losses(replace(QUICK, **change))[-1] for change in changes}) == len(changes)


def best_epoch(**changes: object) -> tuple[int, list[float]]:
    """Train on noise; return the best epoch and the validation losses, which only rise."""
    generator = np.random.default_rng(0)
    noise = ArrayFeatures(
        generator.normal(size=(60, 8, 6)).astype(np.float16), np.ones((60, 8), dtype=bool)
    )
    rows = tuple(Clip(str(n), n % 2) for n in range(60))
    data = SequenceData(rows, noise, np.arange(60))
    config = TrainConfig(epochs=40, learning_rate=3e-2, patience=3, **changes)  # type: ignore[arg-type]
    training, validation = data.take(np.arange(40)), data.take(np.arange(40, 60))
    trained = train(training.with_views(), validation, SMALL, config)
    return trained.best_epoch, [row["val_loss"] for row in trained.history]


def test_an_epoch_below_the_minimum_is_never_kept() -> None:
    early, losses_ = best_epoch(min_epochs=1)
    assert early < 20 and len(losses_) < 20
    late, losses_ = best_epoch(min_epochs=20)
    assert late >= 20 and len(losses_) >= 20
    default, _ = best_epoch()
    assert default >= 30, "few clips have a minimum by default"


def test_the_best_epoch_has_the_lowest_smoothed_validation_loss() -> None:
    best, losses_ = best_epoch(min_epochs=5)
    smoothed = [np.mean(losses_[max(0, end - 5) : end]) for end in range(5, len(losses_) + 1)]
    assert best == 5 + int(np.argmin(smoothed))


def shares(number: int) -> MaskShares | None:
    """Return the shares of the clip with this number: none for real clips, unknown for some."""
    if number % 2 == 0:
        return (0.0,) * 6
    return None if number % 3 == 0 else (0.0, 0.2, 0.9, 0.5, 0.3, 0.1)


def with_shares(data: SequenceData) -> SequenceData:
    known = tuple(replace(clip, mask_shares=shares(n)) for n, clip in enumerate(data.clips))
    return replace(data, clips=known)


@pytest.mark.parametrize("runtime", TRAINERS)
def test_the_second_output_is_dropped_after_training(runtime: str) -> None:
    training = with_shares(clips(40, 0)).with_views()
    config = replace(QUICK, runtime=runtime)
    trained = [
        train(training, clips(20, 1), SMALL, replace(config, auxiliary=auxiliary))
        for auxiliary in ("none", "masks")
    ]
    one, other = (each.network for each in trained)
    assert one.parameters == other.parameters
    assert one.tensors.keys() == other.tensors.keys()
    assert not np.array_equal(
        one.tensors["network/dense/kernel"], other.tensors["network/dense/kernel"]
    )


def test_known_shares_change_nothing_without_the_option() -> None:
    trained = [
        train(data.with_views(), clips(20, 1), SMALL, QUICK).network.tensors
        for data in (clips(40, 0), with_shares(clips(40, 0)))
    ]
    assert all(np.array_equal(tensor, trained[1][name]) for name, tensor in trained[0].items())


def test_both_trainers_train_the_same_second_output() -> None:
    training = with_shares(clips(40, 0)).with_views()
    losses_ = [
        [row["val_loss"] for row in train(training, clips(20, 1), SMALL, config).history]
        for config in (replace(QUICK, runtime=name, auxiliary="masks") for name in TRAINERS)
    ]
    np.testing.assert_allclose(*losses_, rtol=1e-3)


def test_a_second_output_without_known_fakes_is_an_error_that_says_what_to_do() -> None:
    config = replace(QUICK, auxiliary="masks")
    with pytest.raises(DatasetError, match=r"--auxiliary masks needs fakes.*--self-blend"):
        train(clips(40, 0).with_views(), clips(20, 1), SMALL, config)
