"""A scikit-learn classifier for sequence models on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from deepfake_seq import atomic
from deepfake_seq.config import (
    DecisionConfig,
    ExtractConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.datasets import FAKE, REAL, split_by_group
from deepfake_seq.sequence.data.arrays import checked_arrays, checked_labels
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.description import Recipe
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import new_folder, require_new
from deepfake_seq.sequence.training.baselines import evaluate_validation
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, fit_ensemble, member_pairs
from deepfake_seq.store import Fingerprint
from deepfake_seq.untrusted import decode

_MODEL, _TRAIN = ModelConfig(), TrainConfig()
_SPLIT, _DECISION = SplitConfig(), DecisionConfig()
_ARRAYS = Fingerprint({"features": "user-supplied arrays"})


class _SavedSettings(Struct):
    """The settings in `model.json` that `load` restores."""

    recipe: Recipe


class SequenceClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Binary classifier of feature sequences: 1 = fake, 0 = real.

    `fit` holds out a fraction of the clips, by group, for early stopping, calibration and the
    threshold. The parameters are those of `config.ModelConfig`, `TrainConfig`, `SplitConfig` and
    `DecisionConfig`.

    Attributes:
        classes_: Labels of the classes, `[0, 1]`.
        n_features_in_: Number of features D.
        decision_: Threshold and abstention band, with the numbers they are based on; see
            `Decision`.
        model_: The trained `SequenceModel`.
        metrics_: Metrics on the validation clips.
    """

    def __init__(
        self,
        model: str = _MODEL.name,
        *,
        bidirectional: bool = _MODEL.bidirectional,
        inputs: str = _MODEL.inputs,
        shuffle_frames: bool = _MODEL.shuffle_frames,
        dropout: float = _MODEL.dropout,
        wide: bool = _MODEL.wide,
        units: tuple[int, ...] = _MODEL.units,
        epochs: int = _TRAIN.epochs,
        batch_size: int = _TRAIN.batch_size,
        learning_rate: float = _TRAIN.learning_rate,
        patience: int = _TRAIN.patience,
        min_epochs: int = _TRAIN.min_epochs,
        gamma: float = _TRAIN.gamma,
        input_dropout: float = _TRAIN.input_dropout,
        input_noise: float = _TRAIN.input_noise,
        wide_l2: float = _TRAIN.wide_l2,
        balance: str | tuple[str, ...] = _TRAIN.balance,
        members: int = _TRAIN.members,
        validation: float = _SPLIT.validation,
        threshold: str = _DECISION.threshold,
        target_fpr: float = _DECISION.target_fpr,
        seed: int = _TRAIN.seed,
    ) -> None:
        self.model = model
        self.bidirectional = bidirectional
        self.inputs = inputs
        self.shuffle_frames = shuffle_frames
        self.dropout = dropout
        self.wide = wide
        self.units = units
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.min_epochs = min_epochs
        self.gamma = gamma
        self.input_dropout = input_dropout
        self.input_noise = input_noise
        self.wide_l2 = wide_l2
        self.balance = balance
        self.members = members
        self.validation = validation
        self.threshold = threshold
        self.target_fpr = target_fpr
        self.seed = seed

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        mask: npt.ArrayLike | None = None,
        groups: Sequence[str] | None = None,
    ) -> Self:
        """Train the model, calibrate it and choose its threshold.

        Args:
            X: Float (N, T, D): N clips of T frames with D features.
            y: Labels, (N,); 1 = fake, 0 = real.
            mask: Bool (N, T); True for a valid frame. The features of other frames are ignored. By
                default, all frames are valid.
            groups: Identity or source video of each clip, (N,). Training and validation share no
                group. By default, each clip is its own group.

        Returns:
            The fitted classifier itself.

        Raises:
            ValueError: An array has the wrong shape, dtype or values.
            DatasetError: There are too few clips or groups of a class.
        """
        arrays = checked_arrays(X, mask)
        labels = checked_labels(y, len(arrays[1]))
        if groups is not None and len(groups) != len(labels):
            raise ValueError(
                f"groups must have one entry per clip, {len(labels)}. Received: {len(groups)}"
            )
        clips = tuple(
            Clip(f"clip {number}", int(label), (str(groups[number]),) if groups is not None else ())
            for number, label in enumerate(labels)
        )
        data = SequenceData(clips, ArrayFeatures(*arrays), np.arange(len(clips)))
        config = self._config()
        split = split_by_group(
            labels.tolist(), data.groups, validation=self.validation, test=0.0, seed=self.seed
        )
        ensemble = fit_ensemble(member_pairs(data, split, config), config)
        model = SequenceModel(
            config.model,
            ensemble.networks,
            data.features.shape[1:],
            ensemble.calibration,
            ensemble.decision,
            f"{len(clips)} clips given as arrays",
            ExtractConfig(),
            _ARRAYS,
        )
        self._set_fitted(model, evaluate_validation(ensemble))
        return self

    def predict_proba(
        self, X: npt.ArrayLike, mask: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the calibrated probabilities of real and fake, (N, 2).

        Args:
            X: Float (N, T, D), with the T and D of the training clips.
            mask: Bool (N, T); True for a valid frame. By default, all frames are valid.

        Raises:
            ValueError: An array has the wrong shape, dtype or values.
            sklearn.exceptions.NotFittedError: The classifier is not fitted.
        """
        check_is_fitted(self, "model_")
        arrays = checked_arrays(X, mask)
        if arrays[0].shape[1:] != self.model_.shape:
            raise ValueError(
                f"X must be (N, {self.model_.shape[0]}, {self.model_.shape[1]}), as in training. "
                f"Received: {arrays[0].shape}"
            )
        fake = self.model_.scores_of(arrays)
        return np.stack([1.0 - fake, fake], axis=1)

    def predict(self, X: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
        """Return 1 (fake) for a probability of at least `decision_.threshold`, else 0; (N,).

        The abstention band is ignored; see `decision_.is_doubtful`.
        """
        fake = self.predict_proba(X, mask)[:, 1]
        return (fake >= self.decision_.threshold).astype(np.int64)

    def score(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        mask: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Return the accuracy of `predict`, as every scikit-learn classifier does."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(y, self.predict(X, mask), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        """Declare that X has three dimensions and that there are two classes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_class = False
        return tags

    def save(self, folder: str | Path) -> None:
        """Write a run directory, which must not exist; `load` reads it.

        Raises:
            UsageError: `folder` already exists.
            RunError: The folder cannot be written.
        """
        check_is_fitted(self, "model_")
        folder = Path(folder)
        require_new(folder)
        notes = {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "parameters": self.model_.parameters,
            "split": {"validation": sum(self.metrics_["clips"].values())},
            "recipe": asdict(self._config()),
            "warnings": self.decision_.warnings,
        }
        metrics = {"validation": self.metrics_, "test": None, "baselines": {}}
        with new_folder(folder) as draft:
            run.save(draft, self.model_, notes)
            atomic.write_json(draft / run.METRICS, metrics)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load a classifier that `save` wrote. No code in the folder is executed.

        Raises:
            RunError: A file is missing, damaged or inconsistent.
        """
        folder = Path(folder)
        model = run.load(folder)
        validation = run.read_metrics(folder)["validation"]
        path = folder / run.DESCRIPTION
        config = decode(path, _SavedSettings, run.MAX_DESCRIPTION_BYTES).recipe
        params = {**asdict(config.model), **asdict(config.split), **asdict(config.decision)}
        params |= {**asdict(config.train), "model": params.pop("name")}
        classifier = cls()
        classifier.set_params(**{name: params[name] for name in classifier.get_params()})
        classifier._set_fitted(model, validation)
        return classifier

    def _set_fitted(self, model: SequenceModel, validation: dict[str, Any]) -> None:
        """Set the attributes of a fitted classifier."""
        self.classes_ = np.array([REAL, FAKE])
        self.n_features_in_ = model.shape[1]
        self.decision_ = model.decision
        self.metrics_ = validation
        self.model_ = model

    def _config(self) -> ExperimentConfig:
        return ExperimentConfig(
            ModelConfig(
                self.model,
                bidirectional=self.bidirectional,
                dropout=self.dropout,
                wide=self.wide,
                inputs=self.inputs,
                shuffle_frames=self.shuffle_frames,
                units=tuple(self.units),
            ),
            TrainConfig(
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                patience=self.patience,
                min_epochs=self.min_epochs,
                gamma=self.gamma,
                input_dropout=self.input_dropout,
                input_noise=self.input_noise,
                wide_l2=self.wide_l2,
                balance=(self.balance,) if isinstance(self.balance, str) else tuple(self.balance),
                members=self.members,
                seed=self.seed,
            ),
            SplitConfig(validation=self.validation, test=0.0, seed=self.seed),
            DecisionConfig(self.threshold, self.target_fpr),
        )
