"""A clip among genuine clips of the same person."""

from __future__ import annotations

import numpy as np
import pytest
from conditions import conditions

from deepfake_seq.sequence.evaluation.reference import ReferenceClips, ReferenceComparison

WIDTH = 8


def genuine(clips: int, seed: int = 0, **measured: float) -> ReferenceClips:
    generator = np.random.default_rng(seed)
    return ReferenceClips(
        tuple(f"file {number}" for number in range(clips)),
        1 + generator.normal(0, 0.2, (clips, WIDTH)),
        generator.uniform(0, 0.5, clips),
        (conditions(**measured),) * clips,
    )


def compared(
    clips: ReferenceClips, score: float = 0.1, shift: float = 0.0, sha256: str = "another file"
) -> ReferenceComparison:
    features = np.ones(WIDTH)
    features[0] += shift
    return clips.compare(sha256, features, score, conditions())


def test_an_exchangeable_clip_has_a_uniform_p() -> None:
    score_p, novelty_p = [], []
    for seed in range(400):
        pool = genuine(20, seed)
        others = ReferenceClips(
            pool.sha256s[1:], pool.features[1:], pool.scores[1:], pool.conditions[1:]
        )
        result = others.compare("x", pool.features[0], float(pool.scores[0]), conditions())
        assert result.score_p is not None and result.novelty_p is not None
        score_p.append(result.score_p)
        novelty_p.append(result.novelty_p)
    for values in (score_p, novelty_p):
        for level in (0.1, 0.25, 0.5):
            assert np.mean(np.array(values) <= level) == pytest.approx(level, abs=0.07)


def test_an_unusual_clip_has_the_smallest_p() -> None:
    result = compared(genuine(19), score=0.9, shift=30.0)
    assert (result.score_p, result.novelty_p) == (pytest.approx(0.05), pytest.approx(0.05))
    assert "the smallest possible p is 0.05" in result.sentence


def test_clips_under_other_conditions_are_not_compared() -> None:
    result = compared(genuine(30, face_pixels=50))
    assert (result.clips, result.comparable, result.score_p) == (30, 0, None)
    assert "0 of 30 were recorded under similar conditions" in result.sentence


def test_too_few_clips_give_no_p() -> None:
    result = compared(genuine(8))
    assert result.score_p is None and "at least 9 are needed" in result.reason
    assert compared(genuine(9)).score_p is not None


def test_the_same_file_is_left_out() -> None:
    assert compared(genuine(12), sha256="file 3").clips == 11
