"""A run reads the evidence blocks that it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from records import make_record, make_store

from deepfake_seq.config import ModelConfig, SplitConfig
from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureRecord

BLOCKS = {"features": 6, "depths": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on clips with two blocks."""
    path = tmp_path_factory.mktemp("blocks")
    experiment = load_experiment(make_store(path / "store"), SplitConfig())
    data = experiment.data
    features = ArrayFeatures(*data.features.read(data.rows), BLOCKS)
    data = replace(data, features=features, rows=np.arange(len(data)))
    config = ExperimentConfig(ModelConfig("logistic", inputs="both"))
    fit(replace(experiment, data=data), path / "run", config)
    return path / "run"


def record(features: int, **evidence: int) -> FeatureRecord:
    return make_record(width=features, evidence=evidence)


def test_a_run_reads_its_blocks_from_a_record_with_more(folder: Path) -> None:
    model = run.load(folder)
    assert dict(model.blocks) == BLOCKS
    features, mask = model.arrays_of(record(features=6, regions=3, depths=2))
    assert features.shape == (1, 16, 8) and mask.shape == (1, 16)
    assert np.isfinite(model.scores_of((features, mask))).all()


def test_a_record_without_a_block_of_the_run_is_refused(folder: Path) -> None:
    with pytest.raises(RunError, match=r"not extracted: depths\. Received: features, regions"):
        run.load(folder).arrays_of(record(features=6, regions=3))


def test_a_run_whose_blocks_do_not_fit_its_width_is_refused(folder: Path, tmp_path: Path) -> None:
    values = json.loads((folder / run.DESCRIPTION).read_text())
    values["input"]["blocks"]["depths"] = 3
    (tmp_path / run.DESCRIPTION).write_text(json.dumps(values))
    with pytest.raises(RunError, match="do not add up to the width"):
        run.describe(tmp_path)
