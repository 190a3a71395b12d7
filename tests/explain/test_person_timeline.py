"""How much each frame contributes to a score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mean_model import mean_model
from records import make_record

from deepfake_seq.config import ModelConfig
from deepfake_seq.explain.timeline import FrameContributions, frame_contributions
from deepfake_seq.sequence.models import sequence_model
from deepfake_seq.sequence.models.networks import unscaled
from deepfake_seq.sequence.runs.run import SequenceModel

WIDTH = 8


def network(name: str, seed: int = 0) -> SequenceModel:
    """Return a model of small random weights."""
    config = ModelConfig(name, wide=False)
    generator = np.random.default_rng(seed)
    weights = {
        key: generator.normal(0, 0.3, shape).astype(np.float32)
        for key, shape in sequence_model.shapes(config, WIDTH).items()
    }
    for key, values in weights.items():
        if key.endswith("moving_variance"):
            values[:] = 1
    return mean_model(config=config, members=(unscaled(config, WIDTH, weights),))


def contributions(model: SequenceModel, **changes: Any) -> FrameContributions:
    record = make_record(width=WIDTH, **changes)
    return frame_contributions(model, (record.features[None], record.mask[None]))


@pytest.mark.parametrize("name", ["dense", "frame_attention"])
def test_a_frame_model_gives_each_frame_a_score_of_its_own(name: str) -> None:
    model = network(name)
    record = make_record(width=WIDTH, valid=11)
    result = contributions(model, valid=11)
    assert result.is_exact and result.scores is not None and len(result.scores) == 11
    score = model.scores_of((record.features[None], record.mask[None]))[0]
    assert 1 / (1 + np.exp(-result.log_odds.mean())) == pytest.approx(score, abs=1e-5)
    one = make_record(width=WIDTH, valid=1)
    one.features[0] = record.features[4]
    assert result.scores[4] == pytest.approx(
        model.scores_of((one.features[None], one.mask[None]))[0], abs=1e-5
    )


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_a_recurrent_model_gives_the_change_when_the_frame_is_left_out(name: str) -> None:
    model = network(name)
    record = make_record(width=WIDTH)
    result = contributions(model)
    assert not result.is_exact and result.scores is None
    features, mask = record.features[None].copy(), record.mask[None].copy()
    features[0, 3:-1], mask[0, -1] = features[0, 4:], False
    scores = [
        model.scores_of(arrays)[0]
        for arrays in ((features, mask), (record.features[None], record.mask[None]))
    ]
    without, total = (np.log(score / (1 - score)) for score in scores)
    assert result.log_odds[3] == pytest.approx(total - without, abs=1e-3)


def test_a_single_suspicious_frame_stands_out() -> None:
    record = make_record(width=WIDTH)
    record.features[:] = 0
    record.features[5] = 1
    result = frame_contributions(mean_model(), (record.features[None], record.mask[None]))
    assert result.log_odds.argmax() == 5
