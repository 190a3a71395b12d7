"""How unlike the clips of a run a clip is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.evaluation.novelty import NoveltyScore
from deepfake_seq.sequence.runs import novelty_file

FRAMES, WIDTH = 4, 40


def clips(count: int, generator: np.random.Generator, shift: float = 0.0) -> SequenceData:
    """Return clips that vary along three directions, and a little along all others."""
    directions = np.random.default_rng(0).normal(size=(3, WIDTH))
    means = generator.normal(size=(count, 3)) @ directions + shift * np.eye(WIDTH)[5]
    features = means[:, None] + generator.normal(0, 0.1, (count, FRAMES, WIDTH))
    mask = np.ones((count, FRAMES), dtype=np.bool_)
    named = tuple(Clip(str(number), 0) for number in range(count))
    return SequenceData(named, ArrayFeatures(features.astype(np.float16), mask), np.arange(count))


def p_values(score: NoveltyScore, data: SequenceData) -> np.ndarray:
    features, mask = next(data.batches(len(data)))
    return np.array(
        [score.of((features[at : at + 1], mask[at : at + 1])).p for at in range(len(data))]
    )


def score_of(seed: int, members: int = 2, held_out: int = 20) -> NoveltyScore:
    generator = np.random.default_rng(seed)
    return NoveltyScore.fit(
        [(clips(40, generator), clips(held_out, generator)) for _ in range(members)]
    )


def test_a_clip_that_leaves_what_training_clips_have_in_common_is_novel() -> None:
    score = score_of(seed=1)
    novel = p_values(score, clips(5, np.random.default_rng(9), shift=8.0))
    assert novel == pytest.approx(np.full(5, 1 / 41)), "the smallest p-value of 40 clips"
    assert p_values(score, clips(50, np.random.default_rng(9))).mean() == pytest.approx(
        0.5, abs=0.15
    )


@given(seed=st.integers(0, 2**32 - 1), alpha=st.sampled_from([0.05, 0.1, 0.2]))
@settings(max_examples=15, deadline=None)
def test_clips_like_the_validation_clips_are_rarely_novel(seed: int, alpha: float) -> None:
    generator = np.random.default_rng(seed)
    score = NoveltyScore.fit([(clips(40, generator), clips(100, generator))])
    found = p_values(score, clips(200, generator))
    assert (found <= alpha).mean() <= alpha + 0.12


def test_the_values_of_masked_frames_change_nothing() -> None:
    score = score_of(seed=2)
    features, mask = next(clips(1, np.random.default_rng(3)).batches())
    mask[:, -1] = False
    before = score.of((features, mask))
    features[:, -1] = 7.0
    assert score.of((features, mask)) == before


def test_the_score_of_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    score = score_of(seed=4)
    novelty_file.write_novelty(tmp_path, score)
    again = novelty_file.read_novelty(tmp_path, 2, WIDTH)
    assert again is not None
    data = clips(20, np.random.default_rng(5), shift=1.0)
    assert (p_values(again, data) == p_values(score, data)).all()


def test_a_run_without_a_novelty_score_has_none(tmp_path: Path) -> None:
    assert novelty_file.read_novelty(tmp_path, 1, WIDTH) is None


@pytest.mark.parametrize("damage", ["truncated", "members", "width", "scale"])
def test_a_damaged_novelty_file_is_refused(tmp_path: Path, damage: str) -> None:
    score = score_of(seed=6)
    if damage == "scale":
        score.members[0].scale[0] = 0.0
    novelty_file.write_novelty(tmp_path, score)
    path = tmp_path / novelty_file.NAME
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-8])
    members, width = (3 if damage == "members" else 2), (WIDTH + (damage == "width"))
    with pytest.raises(RunError, match=r"novelty\.safetensors .*(damaged|altered)"):
        novelty_file.read_novelty(tmp_path, members, width)
