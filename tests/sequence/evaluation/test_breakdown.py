from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.sequence.evaluation import breakdown
from deepfake_seq.sequence.evaluation.predictions import Predictions


@pytest.fixture
def predictions() -> Predictions:
    clips = [
        Clip("r1", 0, ("ann",)),
        Clip("r2", 0, ("bob",)),
        Clip("e1", 1, ("ann",), facts={"method": "easy"}),
        Clip("e2", 1, ("ann", "bob"), facts={"method": "easy"}),
        Clip("h1", 1, ("bob",), facts={"method": "hard"}),
        Clip("h2", 1, (), facts={"method": "hard"}),
    ]
    return Predictions.of("test", clips, np.array([0.2, 0.4, 0.8, 0.9, 0.3, 0.6]))


def test_each_method_is_compared_with_all_real_clips(predictions: Predictions) -> None:
    assert breakdown.by_method(predictions, 0.5) == [
        {"name": "hard", "clips": 2, "recall": 0.5, "auc": 0.75},
        {"name": "easy", "clips": 2, "recall": 1.0, "auc": 1.0},
    ]


def test_unnamed_methods_have_no_row(predictions: Predictions) -> None:
    assert breakdown.by_method(predictions.take(np.array([0, 1])), 0.5) == []


def test_a_clip_of_two_groups_counts_in_both(predictions: Predictions) -> None:
    assert breakdown.by_group(predictions, 0.5) == [
        {"name": "bob", "real": 1, "fake": 2, "wrong": 1, "auc": 0.5},
        {"name": "ann", "real": 1, "fake": 2, "wrong": 0, "auc": 1.0},
    ]


def test_the_most_confident_mistakes_come_first(predictions: Predictions) -> None:
    assert breakdown.most_confident_mistakes(predictions, 0.35, 9).video_ids == ("h1", "r2")
    assert breakdown.most_confident_mistakes(predictions, 0.1, 9).video_ids == ("r2", "r1")
    assert breakdown.most_confident_mistakes(predictions, 0.1, 1).video_ids == ("r2",)
    assert len(breakdown.most_confident_mistakes(predictions, 0.45, 0)) == 0
