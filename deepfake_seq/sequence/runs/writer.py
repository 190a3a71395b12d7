"""A training that is over, and how it becomes a run directory."""

from __future__ import annotations

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
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.evaluation.metrics import Scores
from deepfake_seq.sequence.experiment import Experiment
from deepfake_seq.sequence.reports.model_card import baseline_warnings, card, data_warnings
from deepfake_seq.sequence.runs import history, run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.splits.split_file import write_split
from deepfake_seq.sequence.training.baselines import evaluate_model
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, Pair, TrainedEnsemble

_PACKAGES = ("deepfake-seq", "keras", "tensorflow", "numpy", "scikit-learn", "openvino")


@dataclass(frozen=True)
class FitResult:
    """What was trained and how well it does.

    Attributes:
        folder: The run directory.
        model: The model's name.
        data: What people call the data.
        members: How many networks it averages.
        parameters: `total` and `trainable`, of one network.
        split: How many clips `train`, `validation` and `test` hold, and how many were `dropped`.
            With several members every training clip is a validation clip of one of them.
        views: How many views of its clips, and fakes made from them, it was trained on beside
            them: `real` and `fake`.
        excluded: How many clips of the store could not be used, by reason.
        balance: How much a clip of each class counted in training, in words.
        decision: What the threshold was set for, in words.
        threshold: Scores of at least this are called fake.
        metrics: `validation`, `test` (None where the split has none) and `baselines`.
        warnings: What a reader of the metrics must be told.
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
    """A model that was trained and judged, before it is written down.

    Attributes:
        experiment: The clips.
        recipe: How it was trained, and decides.
        pairs: What each member was trained and validated on.
        ensemble: The members and the decision.
        test: The clips that were looked at once.
        test_scores: (N,) of these.
        metrics: Of the model and of its baselines.
        about_cnn: What must be told of the CNN behind the features.
        parameters: `total` and `trainable`, of one network.
        made: How many fakes were made of the training clips while it was trained.
        notes: What else belongs into `model.json`.
    """

    experiment: Experiment
    recipe: ExperimentConfig
    pairs: Sequence[Pair]
    ensemble: TrainedEnsemble
    test: SequenceData
    test_scores: Scores
    metrics: dict[str, Any]
    cnn_warnings: Sequence[str]
    parameters: dict[str, int]
    made: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, dict[str, Clip]]:
        """The clips of each part; with several members most are for training and validation."""
        train = {clip.video_id: clip for training, _ in self.pairs for clip in training.clips}
        validation = {clip.video_id: clip for _, held_out in self.pairs for clip in held_out.clips}
        testing = {clip.video_id: clip for clip in self.test.clips}
        used = train.keys() | validation.keys() | testing.keys()
        clips = self.experiment.data.clips
        dropped = {clip.video_id: clip for clip in clips if clip.video_id not in used}
        return {"train": train, "validation": validation, "test": testing, "dropped": dropped}

    @property
    def views(self) -> dict[str, int]:
        """What was trained on beside the clips, by class."""
        labels = [view.label for clip in self.parts["train"].values() for view in clip.views]
        return {"real": labels.count(REAL), "fake": labels.count(FAKE) + self.made}

    def write(self, draft: Path, folder: Path, model: SequenceModel) -> FitResult:
        """Write all but what only this kind of model has.

        Args:
            draft: An empty folder.
            folder: What it will be called.
            model: What `ensemble` is, ready to be used.

        Raises:
            OSError: The disk does not take it.
        """
        result = self._result(folder, model)
        balance = self.ensemble.members[0].balance
        histories = [member.history for member in self.ensemble.members]
        best_epochs = [member.best_epoch for member in self.ensemble.members]
        notes = {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "parameters": result.parameters,
            "split": result.split,
            "views": result.views,
            "official_split": self.experiment.parts.official,
            "recipe": asdict(self.recipe),
            "training": {
                "balance": result.balance,
                "effective_weights": balance.effective,
                "best_epochs": best_epochs,
            },
            "shortcut": asdict(self.experiment.shortcut),
            "warnings": result.warnings,
            "versions": {name: version(name) for name in _PACKAGES},
            **self.notes,
        }
        run.save(draft, model, notes)
        write_split(draft, self.parts)
        atomic.write_json(draft / run.METRICS, self.metrics)
        validation = self.ensemble.validation
        predictions.write(
            draft / predictions.NAME,
            {
                "validation": (validation.clips_with_duplicates, self.ensemble.validation_scores),
                "test": (self.test.clips_with_duplicates, self.test_scores),
            },
        )
        readme = card(result.model, notes, self.metrics, result.data, self.ensemble.decision)
        atomic.write_bytes(draft / "README.md", readme.encode())
        history.write(draft, histories, best_epochs)
        return result

    def _result(self, folder: Path, model: SequenceModel) -> FitResult:
        data, decision = self.experiment.data, self.ensemble.decision
        return FitResult(
            folder=folder,
            model=model.title,
            data=self.experiment.name,
            members=len(self.pairs),
            parameters=self.parameters,
            split={part: len(clips) for part, clips in self.parts.items()},
            views=self.views,
            excluded=dict(data.excluded),
            balance=str(self.ensemble.members[0].balance),
            decision=decision.basis,
            threshold=decision.threshold,
            metrics=self.metrics,
            warnings=[
                *self.ensemble.warnings,
                *self.experiment.parts.warnings,
                *self.experiment.shortcut.warnings,
                *self.cnn_warnings,
                *data_warnings(data),
                *baseline_warnings(model.title, self.metrics),
            ],
        )


def evaluate_test(
    ensemble: TrainedEnsemble, test: SequenceData, baselines: dict[str, Any]
) -> tuple[Scores, dict[str, Any]]:
    """The scores of the test clips, (N,), which nobody looks at but here, and all metrics.

    Args:
        ensemble: The model.
        test: The test clips.
        baselines: The metrics of each.
    """
    scores = ensemble.scores(test)
    return scores, {**evaluate_model(ensemble, test, scores), "baselines": baselines}


def require_new(folder: Path) -> None:
    """Refuse to write over anything."""
    if folder.exists():
        raise UsageError(f"{folder} is there already. Give another --out, or remove it.")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` when the block is done.

    Raises:
        RunError: It cannot be written; nothing is left of it then.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that moving it there is one rename.
        with tempfile.TemporaryDirectory(
            prefix=atomic.TEMPORARY_PREFIX, dir=folder.parent
        ) as temporary:
            draft = Path(temporary, folder.name)
            draft.mkdir()
            yield draft
            draft.replace(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
