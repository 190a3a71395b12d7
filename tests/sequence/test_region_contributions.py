"""What each face region contributes through the evidence blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mean_model import mean_model
from records import make_record

from deepfake_seq.config import ModelConfig
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.data.preprocessing import Preprocessor
from deepfake_seq.sequence.models import sequence_model
from deepfake_seq.sequence.models.networks import LogisticNetwork, SequenceNetwork
from deepfake_seq.sequence.region_contributions import block_contributions, region_contributions
from deepfake_seq.sequence.runs.run import SequenceModel

BLOCKS = {"features": 4, "regions": 12}
RECORDS = [make_record(seed=seed, width=4, evidence={"regions": 12}) for seed in range(12)]


def network(*, silent: bool = False, seed: int = 0) -> SequenceModel:
    """Return a model of random weights; `silent`: only its linear part changes the logit."""
    config = ModelConfig("gru", wide=True)
    generator = np.random.default_rng(seed)
    weights = {
        key: generator.normal(0, 0.3, shape).astype(np.float32)
        for key, shape in sequence_model.shapes(config, 16).items()
    }
    weights["logit/kernel"] *= not silent
    for key, values in weights.items():
        if key.endswith("moving_variance"):
            values[:] = 1
    model = mean_model(config=config, shape=(16, 16), blocks=BLOCKS)
    arrays = [model.arrays_of(record) for record in RECORDS]
    preprocessor = Preprocessor.fit(config, arrays)
    return replace(model, members=(SequenceNetwork(preprocessor, weights),))


def logit(model: SequenceModel, record: object) -> float:
    return float(model.members[0].logits(model.arrays_of(record))[0])  # type: ignore[arg-type]


def test_regions_of_a_linear_model_add_up_to_its_logit() -> None:
    model = network(silent=True)
    found = block_contributions(model, model.arrays_of(RECORDS[0]))
    assert list(found) == ["regions"] and list(found["regions"]) == list(REGIONS)
    (bias,), (terms,) = model.members[0].split_logits(model.arrays_of(RECORDS[0]))
    of_features = terms.reshape(3, 16)[:, :4].sum()
    total = sum(found["regions"].values()) / model.calibration.slope
    assert total + of_features + bias == pytest.approx(logit(model, RECORDS[0]), abs=1e-4)


def test_the_contribution_of_the_region_that_was_changed_changes_most() -> None:
    model = network()
    record = make_record(seed=3, width=4, evidence={"regions": 12})
    before = block_contributions(model, model.arrays_of(record))["regions"]
    record.evidence["regions"][:, 4:6] += 3  # the mouth
    after = block_contributions(model, model.arrays_of(record))["regions"]
    assert max(after, key=lambda name: abs(after[name] - before[name])) == "mouth"


def test_a_model_that_does_not_know_its_mean_compares_with_the_other_regions() -> None:
    weights = np.random.default_rng(0).normal(size=16).astype(np.float32)
    members = (LogisticNetwork("mean", weights, np.zeros(1, dtype=np.float32)),)
    config = ModelConfig("logistic", inputs="features")
    model = mean_model(config=config, shape=(16, 16), blocks=BLOCKS, members=members)
    found = block_contributions(model, model.arrays_of(RECORDS[0]))["regions"]
    means = RECORDS[0].evidence["regions"].astype(np.float64).mean(axis=0).reshape(6, 2)
    others = (means.sum(axis=0) - means) / 5
    expected = ((means - others) * weights[4:].reshape(6, 2)).sum(axis=1)
    found_logits = np.array([*found.values()]) / model.calibration.slope
    assert found_logits == pytest.approx(expected, abs=2e-3)


def test_shuffled_weights_give_other_contributions() -> None:
    one, other = (
        [*block_contributions(model, model.arrays_of(RECORDS[0]))["regions"].values()]
        for model in (network(seed=0), network(seed=1))
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.9


def test_the_contributions_through_all_blocks_of_a_linear_model_are_the_sum_over_its_blocks() -> (
    None
):
    records = [
        make_record(seed=seed, width=4, evidence={"regions": 12, "residual": 12})
        for seed in range(3)
    ]
    weights = np.random.default_rng(0).normal(size=28).astype(np.float32)
    members = (LogisticNetwork("mean", weights, np.zeros(1, dtype=np.float32)),)
    config = ModelConfig("logistic", inputs="features")
    blocks = {**BLOCKS, "residual": 12}
    model = mean_model(config=config, shape=(16, 28), blocks=blocks, members=members)
    arrays = model.arrays_of(records[0])
    by_block = block_contributions(model, arrays)
    assert list(by_block) == ["regions", "residual"]
    together = region_contributions(model, arrays)
    for name in REGIONS:
        total = sum(values[name] for values in by_block.values())
        assert together[name] == pytest.approx(total, abs=1e-2)


def test_a_model_without_regions_has_none() -> None:
    model = mean_model()
    assert block_contributions(model, model.arrays_of(make_record())) == {}
    assert region_contributions(model, model.arrays_of(make_record())) == {}
