from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.sequence.evaluation.metrics import at_threshold
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.runs.comparison import ComparedRun, caveats, pair, rows


def predicted(names: str, seed: int = 0, gap: float = 1.0, **changes: Any) -> Predictions:
    """Make predictions of clips with one-letter names; every other clip is fake."""
    clips = [Clip(name, ord(name) % 2, sha256=name * 64, **changes) for name in names]
    noise = np.random.default_rng(seed).normal(size=len(names))
    labels = np.array([clip.label for clip in clips])
    return Predictions.of("test", clips, 1 / (1 + np.exp(-gap * (labels - 0.5) - noise)))


def compared(name: str, predictions: Predictions, **changes: Any) -> ComparedRun:
    metrics = at_threshold(predictions.labels, predictions.scores, 0.5)
    cells = ["2 + 2", "0.5", "0.5", "0.5"]
    run = ComparedRun(
        Path(name), "gru", 9, 1, "fpr", "f1", metrics, cells, predictions, frozenset({"y" * 64})
    )
    return replace(run, **changes)


def test_runs_are_paired_by_content_on_their_common_clips() -> None:
    one, other = predicted("abcdefgh"), predicted("hgfedcxz", seed=1)
    result = pair(one, other)
    assert result.clips == 6 and result.test is not None
    mirrored = pair(other, one)
    assert mirrored.test is not None
    assert mirrored.test.difference == pytest.approx(-result.test.difference)
    assert pair(one, one).test == (0.0, 0.0, 1.0)


def test_clips_whose_labels_differ_are_not_compared() -> None:
    one = predicted("abcdef")
    relabelled = replace(one, labels=1 - one.labels)
    assert pair(one, relabelled) == (pair(one, predicted("xyz")))
    assert pair(one, relabelled).clips == 0


def test_runs_that_can_be_compared_need_no_caveat() -> None:
    one = predicted("abcd")
    assert caveats([compared("a", one), compared("b", one)]) == []


def test_different_test_clips_give_a_caveat() -> None:
    (note,) = caveats([compared("a", predicted("abcd")), compared("b", predicted("cdef"))])
    assert "2 in common, 2 only in the first, 2 only in the second" in note


def test_different_features_give_a_caveat() -> None:
    one = predicted("abcd")
    (note,) = caveats([compared("a", one), compared("b", one, fingerprint_id="f2")])
    assert "f1 and f2" in note


def test_a_test_clip_that_another_run_was_trained_on_is_a_leak() -> None:
    one = predicted("abcd")
    leaky = compared("leaky", one, trained_on=frozenset({"b" * 64, "c" * 64}))
    other = compared("other", predicted("abcd", seed=1))
    assert [note for note in caveats([other, leaky]) if "Leak" in note] == [
        "Leak: 2 test clips of other are training or validation clips of leaky.",
        "Leak: 2 test clips of leaky are training or validation clips of leaky.",
    ]


def test_people_in_several_clips_give_a_caveat() -> None:
    one = predicted("abcd", groups=("ann",))
    assert "too small" in caveats([compared("a", one), compared("b", one)])[0]


def test_a_run_without_test_clips_has_dashes() -> None:
    one = compared("a", predicted("abcdef"))
    empty = compared("b", predicted(""), metrics=None, cells=["none", "–", "–", "–"])
    header, first, second = rows([one, empty], [pair(one.test, empty.test)])
    assert len(header) == len(first) == len(second)
    assert (first[-1], second[-1]) == ("–", "–")


def test_each_person_of_a_video_is_paired_separately() -> None:
    names = [f"{video}.mp4#{person}" for video in "abcdef" for person in (0, 1)]
    clips = [Clip(name, ord(name[0]) % 2, sha256=name[0] * 64) for name in names]
    scores = np.random.default_rng(0).random(len(clips))
    predictions = Predictions.of("test", clips, scores)
    assert pair(predictions, predictions) == pair(predictions, replace(predictions))
    result = pair(predictions, predictions)
    assert result.clips == 12 and result.test == (0.0, 0.0, 1.0)
