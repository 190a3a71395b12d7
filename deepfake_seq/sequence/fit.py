"""From a feature store to a run directory: split, train, calibrate, judge, write."""

from __future__ import annotations

from pathlib import Path

from deepfake_seq.config import ExtractConfig
from deepfake_seq.sequence.experiment import Experiment
from deepfake_seq.sequence.reports.model_card import cnn_warnings
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import (
    FitResult,
    RunContents,
    evaluate_test,
    new_folder,
    require_new,
)
from deepfake_seq.sequence.splits.finetuned import is_bound
from deepfake_seq.sequence.training.baselines import baselines
from deepfake_seq.sequence.training.ensemble import (
    ExperimentConfig,
    TrainedEnsemble,
    fit_ensemble,
    members_of,
    pairs_of,
)
from deepfake_seq.sequence.training.train import OnEpoch


def fit(
    experiment: Experiment,
    folder: Path,
    recipe: ExperimentConfig,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> FitResult:
    """Train a model and write its run to `folder`, whole or not at all.

    The test clips are looked at once, when everything is decided.

    Args:
        experiment: The clips, from a feature store.
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
    data, split = experiment.data, experiment.parts.split
    pairs = pairs_of(data, split.train, split.validation, recipe)
    test = data.take(split.test)
    ensemble = fit_ensemble(pairs, recipe, on_epoch=on_epoch)
    scores, metrics = evaluate_test(ensemble, test, baselines(pairs, test, recipe))
    model = _model(ensemble, recipe, experiment)
    contents = RunContents(
        experiment=experiment,
        recipe=recipe,
        pairs=pairs,
        ensemble=ensemble,
        test=test,
        test_scores=scores,
        metrics=metrics,
        cnn_warnings=cnn_warnings(model.extract_config.backbone.weights),
        parameters=model.parameters,
    )
    with new_folder(folder) as draft:
        return contents.write(draft, folder, model)


def count_members(experiment: Experiment, recipe: ExperimentConfig) -> int:
    """How many networks `fit` trains at most."""
    if is_bound(experiment.data.clips):
        return 1
    split = experiment.parts.split
    return members_of(recipe, len(split.train) + len(split.validation))


def _model(
    ensemble: TrainedEnsemble, recipe: ExperimentConfig, experiment: Experiment
) -> SequenceModel:
    store = experiment.store
    return SequenceModel(
        config=recipe.model,
        members=ensemble.networks,
        shape=experiment.data.features.shape[1:],
        calibration=ensemble.calibration,
        decision=ensemble.decision,
        data=experiment.name,
        extract_config=ExtractConfig.from_dict(store.extract_config),
        fingerprint=store.fingerprint,
    )
