from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.models import build_model, count_parameters


def test_the_gru_has_the_papers_parameters() -> None:
    model = build_model(ModelConfig(), 16, 2048)
    assert count_parameters(model) == {"total": 418_657, "trainable": 418_465}


def test_the_bigru_reads_both_ways_with_its_own_parameters() -> None:
    # Each GRU of U units on W inputs has 3 U (W + U + 2) parameters, and the next one sees 2 U.
    gru = sum(
        2 * 3 * units * (width + units + 2) for units, width in ((64, 2048), (32, 128), (16, 64))
    )
    norms, dense = 4 * (128 + 64), (32 * 32 + 32) + (32 + 1)
    model = build_model(ModelConfig(bidirectional=True), 16, 2048)
    assert count_parameters(model) == {
        "total": gru + norms + dense,
        "trainable": gru + norms // 2 + dense,
    }


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_output_does_not_depend_on_what_stands_in_masked_frames(bidirectional: bool) -> None:
    model = build_model(ModelConfig(bidirectional=bidirectional), 16, 8)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(16, 16, 8)).astype(np.float32)
    mask = np.arange(16) < np.arange(1, 17)[:, None]
    dirty = features.copy()
    dirty[~mask] = 1e3 * generator.normal(size=dirty[~mask].shape)
    clean_logits = np.asarray(model.predict_on_batch([features, mask]))
    assert np.array_equal(clean_logits, np.asarray(model.predict_on_batch([dirty, mask])))
    assert len(np.unique(clean_logits)) == 16


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_masked_clip_is_judged_like_the_shorter_clip(bidirectional: bool) -> None:
    config = ModelConfig(bidirectional=bidirectional)
    model, short_model = build_model(config, 16, 8), build_model(config, 9, 8)
    short_model.set_weights(model.get_weights())
    features = np.random.default_rng(0).normal(size=(2, 16, 8)).astype(np.float32)
    mask = np.arange(16) < np.array([[9], [9]])
    logits = np.asarray(model.predict_on_batch([features, mask]))
    short = np.asarray(short_model.predict_on_batch([features[:, :9], np.ones((2, 9), dtype=bool)]))
    assert np.allclose(logits, short, atol=1e-6)
