"""The sequence models in scikit-learn's manner, for arrays of one's own."""

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
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import new_folder, require_new
from deepfake_seq.sequence.training.baselines import on_validation
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, fit_ensemble, pairs_of
from deepfake_seq.store import Fingerprint
from deepfake_seq.untrusted import decode

_MODEL, _TRAIN = ModelConfig(), TrainConfig()
_SPLIT, _DECISION = SplitConfig(), DecisionConfig()
_OWN_ARRAYS = Fingerprint({"features": "arrays of one's own"})


class _Saved(Struct):
    """The settings in `model.json` that a classifier is made again from."""

    recipe: ExperimentConfig


class SequenceClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A sequence model that is trained on arrays: 1 = fake, 0 = real.

    Part of what `fit` is given is kept for early stopping, calibration and the threshold, by group.
    The arguments are those of `config.ModelConfig`, `TrainConfig`, `SplitConfig` and
    `DecisionConfig`.

    Attributes:
        classes_: `[0, 1]`.
        n_features_in_: D.
        decision_: The threshold, the abstention band, and what they rest on; see `Decision`.
        model_: The trained `SequenceModel`.
        metrics_: On the clips kept for validation.
    """

    def __init__(
        self,
        model: str = _MODEL.name,
        *,
        bidirectional: bool = _MODEL.bidirectional,
        inputs: str = _MODEL.inputs,
        shuffle_frames: bool = _MODEL.shuffle_frames,
        dropout: float = _MODEL.dropout,
        units: tuple[int, ...] = _MODEL.units,
        epochs: int = _TRAIN.epochs,
        batch_size: int = _TRAIN.batch_size,
        learning_rate: float = _TRAIN.learning_rate,
        patience: int = _TRAIN.patience,
        gamma: float = _TRAIN.gamma,
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
        self.units = units
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.gamma = gamma
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
        """Train.

        Args:
            X: Float (N, T, D): N clips of T frames with D features.
            y: (N,); 1 = fake, 0 = real.
            mask: Bool (N, T); True where a row holds a frame. What stands in the other rows means
                nothing. All by default.
            groups: (N,); who or what is in each clip: clips that share it are kept on one side of
                the validation. Every clip by itself by default.

        Raises:
            ValueError: The arrays do not fit together, or are not what they should be.
            DatasetError: There are too few clips or groups of a class.
        """
        arrays = checked_arrays(X, mask)
        labels = checked_labels(y, len(arrays[1]))
        if groups is not None and len(groups) != len(labels):
            raise ValueError(f"one group a clip is needed. Received: {len(groups)} groups")
        clips = tuple(
            Clip(f"clip {number}", int(label), (str(groups[number]),) if groups is not None else ())
            for number, label in enumerate(labels)
        )
        data = SequenceData(clips, ArrayFeatures(*arrays), np.arange(len(clips)))
        recipe = self._recipe()
        split = split_by_group(
            labels.tolist(), data.groups, validation=self.validation, test=0.0, seed=self.seed
        )
        pairs = pairs_of(data, split.train, split.validation, recipe)
        ensemble = fit_ensemble(pairs, recipe)
        model = SequenceModel(
            recipe.model,
            ensemble.networks,
            data.features.shape[1:],
            ensemble.calibration,
            ensemble.decision,
            f"{len(clips)} clips given as arrays",
            ExtractConfig(),
            _OWN_ARRAYS,
        )
        self._take(model, on_validation(ensemble))
        return self

    def predict_proba(
        self, X: npt.ArrayLike, mask: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, (N, 2), of real and of fake.

        Args:
            X: Float (N, T, D), with the T and D of the training clips.
            mask: Bool (N, T); all by default.

        Raises:
            ValueError: The arrays are not what they should be.
            sklearn.exceptions.NotFittedError: Nothing was trained yet.
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
        """1 where the probability of fake is at least `decision_.threshold`, else 0; (N,).

        The abstention band plays no part here: `decision_.is_doubtful` tells it.
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
        """The accuracy of `predict`, as of any classifier of scikit-learn."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(y, self.predict(X, mask), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        """That X has three dimensions and that there are two classes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_class = False
        return tags

    def save(self, folder: str | Path) -> None:
        """Write a run directory, which must not be there yet; `load` reads it."""
        check_is_fitted(self, "model_")
        folder = Path(folder)
        require_new(folder)
        notes = {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "parameters": self.model_.parameters,
            "split": {"validation": sum(self.metrics_["clips"].values())},
            "recipe": asdict(self._recipe()),
            "warnings": self.decision_.warnings,
        }
        metrics = {"validation": self.metrics_, "test": None, "baselines": {}}
        with new_folder(folder) as draft:
            run.save(draft, self.model_, notes)
            atomic.write_json(draft / run.METRICS, metrics)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read back what `save` wrote. Nothing that the folder contains is executed.

        Raises:
            RunError: Something in it is missing, damaged or does not fit.
        """
        folder = Path(folder)
        model = run.load(folder)
        validation = run.read_metrics(folder)["validation"]
        recipe = decode(folder / run.DESCRIPTION, _Saved, run.MAX_DESCRIPTION_BYTES).recipe
        own = {**asdict(recipe.model), **asdict(recipe.split), **asdict(recipe.decision)}
        own |= {**asdict(recipe.train), "model": own.pop("name")}
        loaded = cls()
        loaded.set_params(**{name: own[name] for name in loaded.get_params()})
        loaded._take(model, validation)
        return loaded

    def _take(self, model: SequenceModel, validation: dict[str, Any]) -> None:
        """Become a fitted classifier."""
        self.classes_ = np.array([REAL, FAKE])
        self.n_features_in_ = model.shape[1]
        self.decision_ = model.decision
        self.metrics_ = validation
        self.model_ = model

    def _recipe(self) -> ExperimentConfig:
        return ExperimentConfig(
            ModelConfig(
                self.model,
                self.bidirectional,
                self.dropout,
                self.inputs,
                self.shuffle_frames,
                tuple(self.units),
            ),
            TrainConfig(
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                patience=self.patience,
                gamma=self.gamma,
                balance=(self.balance,) if isinstance(self.balance, str) else tuple(self.balance),
                members=self.members,
                seed=self.seed,
            ),
            SplitConfig(validation=self.validation, test=0.0, seed=self.seed),
            DecisionConfig(self.threshold, self.target_fpr),
        )
