"""From a feature store to a run directory: split, train, calibrate, judge, write."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.config import ExtractConfig, ModelConfig, TrainConfig
from deepfake_seq.datasets import Split, official_split, split_by_group
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence import plots, run
from deepfake_seq.sequence.baselines import baselines
from deepfake_seq.sequence.calibration import PlattScaling, best_threshold
from deepfake_seq.sequence.card import card, warnings_about
from deepfake_seq.sequence.data import SequenceData, load
from deepfake_seq.sequence.metrics import at_threshold
from deepfake_seq.sequence.models import count_parameters
from deepfake_seq.sequence.run import SequenceModel
from deepfake_seq.sequence.training import OnEpoch, Trained, train
from deepfake_seq.store import FeatureStore

_PACKAGES = ("deepfake-seq", "keras", "tensorflow", "numpy", "scikit-learn", "openvino")


@dataclass(frozen=True)
class FitResult:
    """What was trained and how well it does.

    Attributes:
        folder: The run directory.
        model: The model's name.
        parameters: `total` and `trainable`.
        split: How many clips `train`, `validation` and `test` hold, and how many were `dropped`.
        excluded: How many clips of the store could not be used, by reason.
        metrics: `validation`, `test` (None where the split has none) and `baselines`.
        warnings: What a reader of the metrics must be told.
    """

    folder: Path
    model: str
    parameters: dict[str, int]
    split: dict[str, int]
    excluded: dict[str, int]
    metrics: dict[str, Any]
    warnings: list[str]


OnStart = Callable[[SequenceData, Split], None]


def fit(
    store: FeatureStore,
    folder: Path,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    on_start: OnStart = lambda data, split: None,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> FitResult:
    """Train a model on the store and write its run to `folder`, whole or not at all.

    Args:
        store: The features.
        folder: The run directory to make.
        model_config: Which model.
        config: How to train and split.
        on_start: Called with the data and its split, before training.
        on_epoch: Called after each epoch.

    Raises:
        UsageError: `folder` is there already.
        DatasetError: The store holds too little: no labelled clip, one class, too few groups.
        StoreError: A record is damaged.
        RunError: The run cannot be written.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already. Give another --out, or remove it.")
    data = load(store)
    split = _split(data, config)
    on_start(data, split)
    parts = {name: data.take(positions) for name, positions in split.parts().items()}
    trained = train(parts["train"], parts["validation"], model_config, config, on_epoch)

    model, metrics = _judge(trained, parts, store, model_config)
    cnn = model.extract_config.backbone.weights
    warnings = warnings_about(metrics, len(data), any(data.groups), cnn)
    sizes = {name: len(part) for name, part in parts.items()}
    result = FitResult(
        folder=folder,
        model=model_config.title,
        parameters=count_parameters(trained.network),
        split={**sizes, "dropped": len(split.dropped)},
        excluded=dict(data.excluded),
        metrics=metrics,
        warnings=warnings,
    )
    notes = {
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": result.parameters,
        "split": result.split,
        "training": {
            **asdict(config),
            "alpha": trained.alpha,
            "best_epoch": trained.best_epoch,
            "epochs_run": len(trained.history),
        },
        "warnings": warnings,
        "versions": {name: version(name) for name in _PACKAGES},
    }
    clips = {name: list(part.video_ids) for name, part in parts.items()}
    clips["dropped"] = [data.video_ids[position] for position in split.dropped]
    _write(result, model, trained, notes, clips)
    return result


def _split(data: SequenceData, config: TrainConfig) -> Split:
    labels = data.labels.tolist()
    if all(data.parts):
        return official_split(labels, data.groups, data.parts)
    if any(data.parts):
        missing = sum(not part for part in data.parts)
        raise UsageError(
            f"{missing} of {len(data)} clips have no split while the others have one. Give every "
            "clip one in the CSV file's split column, or none, and run `deepseq extract` again."
        )
    return split_by_group(
        labels, data.groups, validation=config.validation, test=config.test, seed=config.seed
    )


def _judge(
    trained: Trained,
    parts: dict[str, SequenceData],
    store: FeatureStore,
    model_config: ModelConfig,
) -> tuple[SequenceModel, dict[str, Any]]:
    """Calibrate on validation, then look at the test clips, once."""
    validation, test = parts["validation"], parts["test"]
    uncalibrated = SequenceModel(
        model_config,
        trained.network,
        trained.standardizer,
        PlattScaling(),
        0.5,
        ExtractConfig.from_dict(store.extract_config),
        store.fingerprint,
    )
    logits = uncalibrated.logits(validation.features, validation.mask)
    calibration = PlattScaling.fit(validation.labels, logits)
    scores = calibration.apply(logits)
    threshold = best_threshold(validation.labels, scores)
    model = replace(uncalibrated, calibration=calibration, threshold=threshold)
    metrics: dict[str, Any] = {
        "validation": at_threshold(validation.labels, scores, model.threshold),
        "test": None,
        "baselines": baselines(parts, trained.standardizer),
    }
    if len(test):
        test_scores = model.scores(test.features, test.mask)
        metrics["test"] = at_threshold(test.labels, test_scores, model.threshold)
    return model, metrics


def _write(
    result: FitResult,
    model: SequenceModel,
    trained: Trained,
    notes: dict[str, Any],
    clips: dict[str, list[str]],
) -> None:
    folder = result.folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that moving it there is one rename.
        with tempfile.TemporaryDirectory(
            prefix=atomic.TEMPORARY_PREFIX, dir=folder.parent
        ) as temporary:
            draft = Path(temporary, folder.name)
            (draft / "plots").mkdir(parents=True)
            run.save(draft, model, notes)
            atomic.write_json(draft / run.METRICS, result.metrics)
            atomic.write_json(draft / "split.json", clips)
            atomic.write_bytes(draft / "history.csv", _as_csv(trained.history).encode())
            described = {**notes, "threshold": model.threshold}
            readme = card(result.model, described, result.metrics)
            atomic.write_bytes(draft / "README.md", readme.encode())
            curves = draft / "plots" / "training.png"
            plots.training_curves(curves, trained.history, trained.best_epoch)
            draft.replace(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error


def _as_csv(history: list[dict[str, float]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)
    return buffer.getvalue()
