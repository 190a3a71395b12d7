"""Write a run directory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.views import BLEND
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.evaluation.metrics import Scores
from deepfake_seq.sequence.experiment import Experiment
from deepfake_seq.sequence.models.sequence_model import has_layers
from deepfake_seq.sequence.reports.model_card import (
    baseline_warnings,
    card,
    data_warnings,
    one_class_warnings,
)
from deepfake_seq.sequence.runs import history, run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.splits.split_file import write_split
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, Pair, TrainedEnsemble

UNUSED_PSEUDO_FAKES = "self-blended fakes, because there are fakes (use them: --pseudo-fakes)"
"""Reason for not training on pseudo-fakes."""

MASK_PSEUDO_FAKES = "self-blended fakes, which train the second output alone"
"""The same reason with `--auxiliary masks`."""

_PACKAGES = ("deepfake-seq", "keras", "tensorflow", "numpy", "scikit-learn", "openvino")


@dataclass(frozen=True)
class FitResult:
    """Summary of a run that was trained and written.

    Attributes:
        folder: Path of the run directory.
        model: Name of the model.
        data: Name of the data.
        members: Number of networks that the model averages.
        parameters: `total` and `trainable` parameters of one network.
        split: Number of clips in `train`, `validation` and `test`, and of those `dropped`. With
            several members, every training clip is also a validation clip of one of them.
        views: Number of `real` and `fake` views and pseudo-fakes in training.
        excluded: Number of unusable clips in the store, by reason.
        balance: Description of the weight of each class in training.
        decision: Description of the rule that chose the threshold.
        threshold: Lowest score that is classified as fake.
        metrics: `validation`, `test` (None without test clips) and `baselines`.
        warnings: Warnings about the metrics.
    """

    folder: Path
    model: str
    data: str
    members: int
    parameters: dict[str, int]
    split: dict[str, int]
    views: dict[str, int]
    excluded: dict[str, int]
    balance: str
    decision: str
    threshold: float
    metrics: dict[str, Any]
    warnings: list[str]


@dataclass(frozen=True, eq=False)
class RunContents:
    """A trained and evaluated model, ready to be written.

    Attributes:
        experiment: The clips and their split.
        config: Settings of the experiment.
        pairs: Training and validation clips of each member.
        ensemble: The trained members.
        model: The same model in the form that a run stores.
        test_scores: Scores of the test clips, (N,).
        metrics: Metrics of the model and of its baselines.
        cnn_warnings: Warnings about the CNN that computed the features.
        parameters: `total` and `trainable` parameters of one network.
        pseudo_fakes: Number of self-blended fakes that each training epoch adds.
        notes: Further keys of `model.json`.
    """

    experiment: Experiment
    config: ExperimentConfig
    pairs: Sequence[Pair]
    ensemble: TrainedEnsemble
    model: SequenceModel
    test_scores: Scores
    metrics: dict[str, Any]
    cnn_warnings: Sequence[str]
    parameters: dict[str, int]
    pseudo_fakes: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, dict[str, Clip]]:
        """The clips of each split by their ids.

        With several members, most clips are in both training and validation.
        """
        train = {clip.video_id: clip for training, _ in self.pairs for clip in training.clips}
        validation = {clip.video_id: clip for _, held_out in self.pairs for clip in held_out.clips}
        test = {clip.video_id: clip for clip in self.experiment.test.clips}
        used = train.keys() | validation.keys() | test.keys()
        clips = self.experiment.data.clips
        dropped = {clip.video_id: clip for clip in clips if clip.video_id not in used}
        return {"train": train, "validation": validation, "test": test, "dropped": dropped}

    @property
    def views(self) -> dict[str, int]:
        """Number of `real` and `fake` views and pseudo-fakes in training."""
        labels = [view.label for clip in self.splits["train"].values() for view in clip.views]
        return {"real": labels.count(REAL), "fake": labels.count(FAKE) + self.pseudo_fakes}

    @property
    def _unused_pseudo_fakes(self) -> dict[str, int]:
        """Number of pseudo-fakes of the training clips that train no member's logit."""
        train = self.splits["train"]
        clips = [clip for clip in self.experiment.data.clips if clip.video_id in train]
        made = sum(view.kind == BLEND for clip in clips for view in clip.views)
        used = sum(view.kind == BLEND for clip in train.values() for view in clip.views)
        masks = self.config.train.auxiliary == "masks" and has_layers(self.config.model)
        reason = MASK_PSEUDO_FAKES if masks else UNUSED_PSEUDO_FAKES
        return {reason: made - used} if made > used else {}

    @property
    def warnings(self) -> list[str]:
        """Warnings about training, split, data and metrics."""
        return [
            *self.ensemble.warnings,
            *self.experiment.split.warnings,
            *self.experiment.shortcut.warnings,
            *self.cnn_warnings,
            *data_warnings(self.experiment.data),
            *one_class_warnings(self.config.model.name, self.metrics),
            *baseline_warnings(self.model.title, self.metrics),
        ]

    def result(self, folder: Path) -> FitResult:
        """Summarise the run in `folder`."""
        decision = self.ensemble.decision
        return FitResult(
            folder=folder,
            model=self.model.title,
            data=self.experiment.name,
            members=len(self.pairs),
            parameters=self.parameters,
            split={name: len(clips) for name, clips in self.splits.items()},
            views=self.views,
            excluded={**self.experiment.data.excluded, **self._unused_pseudo_fakes},
            balance=str(self.ensemble.members[0].balance),
            decision=decision.basis,
            threshold=decision.threshold,
            metrics=self.metrics,
            warnings=self.warnings,
        )


def write_run(folder: Path, contents: RunContents, files: Sequence[Path] = ()) -> FitResult:
    """Write a run directory, completely or not at all.

    Args:
        folder: Path of the run directory; it must not exist.
        contents: The trained and evaluated model.
        files: Further files to copy into the run.

    Raises:
        RunError: The run cannot be written.
    """
    result = contents.result(folder)
    with new_folder(folder) as draft:
        for file in files:
            shutil.copyfile(file, draft / file.name)
        _write_files(draft, contents, result)
    return result


def _write_files(draft: Path, contents: RunContents, result: FitResult) -> None:
    experiment, ensemble = contents.experiment, contents.ensemble
    best_epochs = [member.best_epoch for member in ensemble.members]
    notes = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": result.parameters,
        "split": result.split,
        "views": result.views,
        "official_split": experiment.split.official,
        "recipe": asdict(contents.config),
        "training": {
            "balance": result.balance,
            "effective_weights": ensemble.members[0].balance.effective,
            "best_epochs": best_epochs,
            "held_out": [len(held_out) for _, held_out in contents.pairs],
        },
        "shortcut": asdict(experiment.shortcut),
        "warnings": result.warnings,
        "versions": {name: version(name) for name in _PACKAGES},
        **contents.notes,
    }
    run.save(draft, contents.model, notes)
    write_split(draft, contents.splits)
    atomic.write_json(draft / run.METRICS, contents.metrics)
    validation = ensemble.validation.clips_with_duplicates
    test = experiment.test.clips_with_duplicates
    predictions.write(
        draft / predictions.NAME,
        {
            "validation": (validation, ensemble.validation_scores),
            "test": (test, contents.test_scores),
        },
    )
    readme = card(result.model, notes, contents.metrics, result.data, ensemble.decision)
    atomic.write_bytes(draft / "README.md", readme.encode())
    history.write(draft, [member.history for member in ensemble.members], best_epochs)


def require_new(folder: Path) -> None:
    """Raise UsageError if `folder` exists."""
    if folder.exists():
        raise UsageError(f"{folder} already exists. Choose another --out, or remove it.")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `folder` when the block ends without an error.

    Raises:
        RunError: The folder cannot be written; nothing of it remains.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # In the same parent folder, so that the final move is one rename.
        with tempfile.TemporaryDirectory(
            prefix=atomic.TEMPORARY_PREFIX, dir=folder.parent
        ) as temporary:
            draft = Path(temporary, folder.name)
            draft.mkdir()
            yield draft
            draft.replace(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
