"""From a feature store to a run directory: split, train, calibrate, judge, write."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.config import ExtractConfig, SplitConfig
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence import figures, predictions, run
from deepfake_seq.sequence.card import about_data, beaten, card
from deepfake_seq.sequence.data import Clip, SequenceData, load
from deepfake_seq.sequence.judging import baselines, judge
from deepfake_seq.sequence.learning import Learned, Pair, Recipe, learn, members_of, pairs_of
from deepfake_seq.sequence.parts import write_split
from deepfake_seq.sequence.run import SequenceModel
from deepfake_seq.sequence.shortcuts import Shortcut, probe
from deepfake_seq.sequence.splitting import Parts, split_clips
from deepfake_seq.sequence.training import OnEpoch, Trained
from deepfake_seq.store import FeatureStore

PartClips = dict[str, dict[str, Clip]]

_PACKAGES = ("deepfake-seq", "keras", "tensorflow", "numpy", "scikit-learn", "openvino")


@dataclass(frozen=True)
class FitResult:
    """What was trained and how well it does.

    Attributes:
        folder: The run directory.
        model: The model's name.
        members: How many networks it averages.
        parameters: `total` and `trainable`, of one network.
        split: How many clips `train`, `validation` and `test` hold, and how many were `dropped`.
            With several members every training clip is a validation clip of one of them.
        excluded: How many clips of the store could not be used, by reason.
        balance: How much a clip of each class counted in training, in words.
        decision: What the threshold was set for, in words.
        threshold: Scores of at least this are called fake.
        metrics: `validation`, `test` (None where the split has none) and `baselines`.
        warnings: What a reader of the metrics must be told.
    """

    folder: Path
    model: str
    members: int
    parameters: dict[str, int]
    split: dict[str, int]
    excluded: dict[str, int]
    balance: str
    decision: str
    threshold: float
    metrics: dict[str, Any]
    warnings: list[str]


@dataclass(frozen=True, eq=False)
class Problem:
    """Clips that are dealt into parts, for one model or several to be trained on.

    Attributes:
        data: All clips.
        parts: Which are for what.
        shortcut: How far metadata alone would come.
        name: What people call the data.
        store: Where the features are from.
    """

    data: SequenceData
    parts: Parts
    shortcut: Shortcut
    name: str
    store: FeatureStore


def prepare(store: FeatureStore, config: SplitConfig) -> Problem:
    """Read a store, deal its clips into parts, and look for a shortcut.

    Raises:
        DatasetError: The store holds too little (no labelled clip, one class, too few groups), or
            its split leaks.
        StoreError: A record is damaged.
    """
    data = load(store)
    parts = split_clips(data, config)
    names = sorted({clip.dataset for clip in data.clips} - {""})
    name = ", ".join(names) or store.path.resolve().name
    return Problem(data, parts, probe(data, config.seed), name, store)


def fit(
    problem: Problem,
    folder: Path,
    recipe: Recipe,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> FitResult:
    """Train a model and write its run to `folder`, whole or not at all.

    The test clips are looked at once, when everything is decided.

    Args:
        problem: The clips.
        folder: The run directory to make.
        recipe: Which model, and how to train it and decide by it.
        on_epoch: Called after each epoch of each member.

    Raises:
        UsageError: `folder` is there already.
        DatasetError: There are too few groups for the members.
        StoreError: A record is damaged.
        RunError: The run cannot be written.
    """
    require_new(folder)
    data, split = problem.data, problem.parts.split
    pairs = pairs_of(data, split.train, split.validation, recipe)
    test = data.take(split.test)
    learned = learn(pairs, recipe, on_epoch=on_epoch)
    test_scores = learned.scores(test)
    metrics = {
        **judge(learned, test, test_scores),
        "baselines": baselines(pairs, test, recipe),
    }
    model = _model(learned, recipe, problem)
    balance = learned.members[0].balance
    parts = _clips(data, pairs, test)
    warnings = [
        *balance.warnings,
        *learned.decision.warnings,
        *problem.parts.warnings,
        *problem.shortcut.warnings,
        *about_data(data, model.extract_config.backbone.weights),
        *beaten(recipe.model.title, metrics),
    ]
    result = FitResult(
        folder=folder,
        model=recipe.model.title,
        members=len(pairs),
        parameters=model.parameters,
        split={part: len(clips) for part, clips in parts.items()},
        excluded=dict(data.excluded),
        balance=str(balance),
        decision=learned.decision.basis,
        threshold=learned.decision.threshold,
        metrics=metrics,
        warnings=warnings,
    )
    notes = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": result.parameters,
        "split": result.split,
        "official_split": problem.parts.official,
        "recipe": asdict(recipe),
        "training": {
            "balance": result.balance,
            "effective_weights": balance.effective,
            "best_epochs": [member.best_epoch for member in learned.members],
        },
        "shortcut": asdict(problem.shortcut),
        "warnings": warnings,
        "versions": {name: version(name) for name in _PACKAGES},
    }
    scored = {
        "validation": (learned.validation.clips_with_twins, learned.validation_scores),
        "test": (test.clips_with_twins, test_scores),
    }
    with new_folder(folder) as draft:
        run.save(draft, model, notes)
        write_split(draft, parts)
        atomic.write_json(draft / run.METRICS, metrics)
        predictions.write(draft / predictions.NAME, scored)
        readme = card(result.model, notes, metrics, problem.name, learned.decision)
        atomic.write_bytes(draft / "README.md", readme.encode())
        _write_history(draft, learned.members)
    return result


def count_members(problem: Problem, recipe: Recipe) -> int:
    """How many networks `fit` trains at most."""
    split = problem.parts.split
    return members_of(recipe, len(split.train) + len(split.validation))


def require_new(folder: Path) -> None:
    """Refuse to write over anything."""
    if folder.exists():
        raise UsageError(f"{folder} is there already. Give another --out, or remove it.")


def _model(learned: Learned, recipe: Recipe, problem: Problem) -> SequenceModel:
    store = problem.store
    return SequenceModel(
        config=recipe.model,
        members=learned.networks,
        shape=problem.data.features.shape[1:],
        calibration=learned.calibration,
        decision=learned.decision,
        data=problem.name,
        extract_config=ExtractConfig.from_dict(store.extract_config),
        fingerprint=store.fingerprint,
    )


def _write_history(folder: Path, members: Sequence[Trained]) -> None:
    """The training curves as a table and as a picture; nothing for what has no epochs."""
    if not members[0].history:
        return
    atomic.write_bytes(folder / "history.csv", _as_csv(members).encode())
    (folder / "plots").mkdir()
    picture = figures.training_curves(
        [member.history for member in members], [member.best_epoch for member in members]
    )
    atomic.write_bytes(folder / "plots" / "training.png", picture)


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


def _clips(data: SequenceData, pairs: Sequence[Pair], test: SequenceData) -> PartClips:
    """The clips of each part; with several members most are for training and for validation."""
    train = {clip.video_id: clip for training, _ in pairs for clip in training.clips}
    validation = {clip.video_id: clip for _, held_out in pairs for clip in held_out.clips}
    testing = {clip.video_id: clip for clip in test.clips}
    used = train.keys() | validation.keys() | testing.keys()
    dropped = {clip.video_id: clip for clip in data.clips if clip.video_id not in used}
    return {"train": train, "validation": validation, "test": testing, "dropped": dropped}


def _as_csv(members: Sequence[Trained]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["member", *members[0].history[0]])
    for number, member in enumerate(members):
        for row in member.history:
            writer.writerow([number, int(row["epoch"]), *list(row.values())[1:]])
    return buffer.getvalue()
