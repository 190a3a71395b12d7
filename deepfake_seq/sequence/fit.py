"""From a feature store to a run directory: split, train, calibrate, judge, write."""

from __future__ import annotations

from pathlib import Path

from deepfake_seq.config import ExtractConfig
from deepfake_seq.sequence.experiment import Problem
from deepfake_seq.sequence.reports.model_card import about_cnn
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import Finished, FitResult, judged, new_folder, require_new
from deepfake_seq.sequence.splits.finetuned import is_bound
from deepfake_seq.sequence.training.baselines import baselines
from deepfake_seq.sequence.training.ensemble import Learned, Recipe, learn, members_of, pairs_of
from deepfake_seq.sequence.training.train import OnEpoch


def fit(
    problem: Problem,
    folder: Path,
    recipe: Recipe,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> FitResult:
    """Train a model and write its run to `folder`, whole or not at all.

    The test clips are looked at once, when everything is decided.

    Args:
        problem: The clips, from a feature store.
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
    scores, metrics = judged(learned, test, baselines(pairs, test, recipe))
    model = _model(learned, recipe, problem)
    finished = Finished(
        problem=problem,
        recipe=recipe,
        pairs=pairs,
        learned=learned,
        test=test,
        test_scores=scores,
        metrics=metrics,
        about_cnn=about_cnn(model.extract_config.backbone.weights),
        parameters=model.parameters,
    )
    with new_folder(folder) as draft:
        return finished.write(draft, folder, model)


def count_members(problem: Problem, recipe: Recipe) -> int:
    """How many networks `fit` trains at most."""
    if is_bound(problem.data.clips):
        return 1
    split = problem.parts.split
    return members_of(recipe, len(split.train) + len(split.validation))


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
