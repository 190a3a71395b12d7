"""Train a model on a feature store and write its run directory.

Five steps lead from a store to a run: load the clips, split them (both in `experiment`), fit the
ensemble (`training.ensemble`), evaluate it and the baselines (`training.baselines`) and write
the run (`runs.writer`). `load_experiment` takes the first two steps and `fit` the other three.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepfake_seq.config import ExtractConfig
from deepfake_seq.sequence.evaluation.novelty import NoveltyScore
from deepfake_seq.sequence.experiment import Experiment
from deepfake_seq.sequence.reports.model_card import cnn_warnings
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import FitResult, RunContents, require_new, write_run
from deepfake_seq.sequence.splits.overlap import needs_cnn_split
from deepfake_seq.sequence.training.baselines import evaluate_baselines, evaluate_ensemble
from deepfake_seq.sequence.training.ensemble import (
    ExperimentConfig,
    TrainedEnsemble,
    fit_ensemble,
    member_count,
    member_pairs,
)
from deepfake_seq.sequence.training.train import OnEpoch
from deepfake_seq.store.records.record import EVIDENCE_FACT


def fit(
    experiment: Experiment,
    folder: Path,
    config: ExperimentConfig,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> FitResult:
    """Train a model, evaluate it and its baselines, and write its run.

    The run is written completely or not at all. The test clips are used once, after training,
    calibration and the choice of the threshold.

    Args:
        experiment: Clips of a feature store, split.
        folder: Run directory to create.
        config: Settings of the model, its training and its decision.
        on_epoch: Called after each epoch of each member.

    Raises:
        UsageError: `folder` already exists.
        DatasetError: There are too few groups for the requested number of members.
        StoreError: A record is damaged.
        RunError: The run cannot be written.
    """
    require_new(folder)
    test = experiment.test
    pairs = member_pairs(experiment.data, experiment.split.positions, config)
    ensemble = fit_ensemble(pairs, config, on_epoch=on_epoch)
    baselines = evaluate_baselines(pairs, test, config)
    test_scores, metrics = evaluate_ensemble(ensemble, test, baselines)
    if experiment.shortcut.blocks:
        metrics["block_r2"] = experiment.shortcut.blocks
    model = _build_model(ensemble, config, experiment, NoveltyScore.fit(pairs))
    contents = RunContents(
        experiment=experiment,
        config=config,
        pairs=pairs,
        ensemble=ensemble,
        model=model,
        test_scores=test_scores,
        metrics=metrics,
        cnn_warnings=cnn_warnings(model.extract_config.backbone.weights),
        parameters=model.parameters,
    )
    return write_run(folder, contents)


def count_members(experiment: Experiment, config: ExperimentConfig) -> int:
    """Return the maximum number of networks that `fit` trains."""
    if needs_cnn_split(experiment.data.clips):
        return 1
    positions = experiment.split.positions
    return member_count(config, len(positions.train) + len(positions.validation))


def _build_model(
    ensemble: TrainedEnsemble,
    config: ExperimentConfig,
    experiment: Experiment,
    novelty: NoveltyScore,
) -> SequenceModel:
    store, blocks = experiment.store, experiment.data.features.blocks
    # All clips have the same settings; see `CollectedFeatures`.
    settings: Any = experiment.data.clips[0].facts.get(EVIDENCE_FACT, {})
    return SequenceModel(
        config=config.model,
        members=ensemble.networks,
        shape=experiment.data.features.shape[1:],
        calibration=ensemble.calibration,
        decision=ensemble.decision,
        data=experiment.name,
        extract_config=ExtractConfig.from_dict(store.extract_config),
        fingerprint=store.fingerprint,
        blocks=blocks,
        evidence={name: settings[name] for name in blocks if name in settings},
        novelty=novelty,
        ranges=store.description.ranges,
    )
