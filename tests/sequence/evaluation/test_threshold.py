from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_seq.config import DecisionConfig
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import Decision, best_macro_f1, decide


def clips(seed: int, real: int = 200, fake: int = 100, apart: float = 2.0) -> tuple:
    """Return labels and scores of overlapping classes."""
    generator = np.random.default_rng(seed)
    labels = np.array([0] * real + [1] * fake)
    logits = generator.normal(apart * (labels - 0.5), 1.0)
    return labels, PlattScaling().apply(logits)


@st.composite
def few(draw: st.DrawFn) -> tuple:
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = np.concatenate([[0, 1], generator.integers(0, 2, size=draw(st.integers(0, 60)))])
    return labels, generator.random(len(labels)).round(draw(st.integers(1, 3)))


@settings(max_examples=100)
@given(few(), st.floats(0.01, 0.4))
def test_the_fpr_threshold_is_the_lowest_that_keeps_the_rate(data: tuple, target: float) -> None:
    labels, scores = data
    reals = scores[labels == 0]
    threshold = decide(labels, scores, DecisionConfig(target_fpr=target)).thresholds["fpr"]
    assert (reals >= threshold).mean() <= target
    lower = np.concatenate([scores[scores < threshold], [0.0]])
    below = [(reals >= other).mean() <= target for other in lower]
    called = [(scores >= other).sum() == (scores >= threshold).sum() for other in lower]
    assert all(same or not kept for kept, same in zip(below, called, strict=True))


@settings(max_examples=60)
@given(few())
def test_no_other_threshold_has_a_better_balanced_accuracy(data: tuple) -> None:
    labels, scores = data

    def balanced(threshold: float) -> float:
        calls = scores >= threshold
        return float((calls[labels == 1].mean() + (~calls[labels == 0]).mean()) / 2)

    others = np.concatenate([scores, scores + 1e-9, [0.5]])
    chosen = decide(labels, scores, DecisionConfig("balanced")).threshold
    assert balanced(chosen) >= max(map(balanced, others)) - 1e-12


@settings(max_examples=60)
@given(few())
def test_the_best_macro_f1_is_the_maximum_over_all_thresholds(data: tuple) -> None:
    from sklearn.metrics import f1_score

    labels, scores = data
    others = np.concatenate([scores, [2.0]])
    each = [f1_score(labels, scores >= t, average="macro", zero_division=0.0) for t in others]
    assert best_macro_f1(labels, scores) == pytest.approx(max(each))


@settings(max_examples=60)
@given(few(), st.sampled_from(["fpr", "balanced"]))
def test_outside_the_abstention_band_both_error_rates_keep_the_target(
    data: tuple, rule: str
) -> None:
    labels, scores = data
    decision = decide(labels, scores, DecisionConfig(rule, 0.1))
    low, high = decision.band
    assert low <= decision.threshold <= high
    if low < high:
        assert (scores[labels == 0] >= high).mean() <= 0.1
        assert (scores[labels == 1] < low).mean() <= 0.1


def test_only_overlapping_classes_have_an_abstention_band() -> None:
    vague = decide(*clips(0, apart=1.0), DecisionConfig())
    assert vague.band[0] < vague.band[1]
    assert vague.is_doubtful(vague.band[0]) and not vague.is_doubtful(vague.band[1])
    clear = decide(*clips(0, apart=9.0), DecisionConfig())
    assert clear.band[0] == clear.band[1]
    assert not clear.is_doubtful(clear.threshold)


def test_with_random_scores_every_clip_is_inconclusive() -> None:
    labels, _ = clips(0)
    scores = np.full(len(labels), 0.5)
    decision = decide(labels, scores, DecisionConfig())
    assert all(decision.is_doubtful(score) for score in scores)


def test_too_few_real_clips_for_the_rate_give_a_warning_and_the_balanced_rule() -> None:
    labels, scores = clips(0, real=19, fake=10)
    decision = decide(labels, scores, DecisionConfig(target_fpr=0.05))
    assert not decision.supported and decision.rule == "balanced"
    assert decision.threshold == decision.thresholds["balanced"]
    (warning,) = decision.warnings
    assert "Too few real validation clips (19)" in warning and "at least 20" in warning
    assert "balanced accuracy" in decision.basis
    enough = decide(*clips(0, real=20, fake=10), DecisionConfig(target_fpr=0.05))
    assert enough.supported and enough.rule == "fpr" and not enough.warnings
    assert "false-positive rate of 5.0% on 20 real and 10 fake" in enough.basis


def test_the_balanced_rule_gives_no_warning_about_the_rate() -> None:
    decision = decide(*clips(0, real=5, fake=5), DecisionConfig("balanced"))
    assert not decision.warnings


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_decision_must_be_finite(threshold: float) -> None:
    with pytest.raises(ValueError, match="the decision is invalid"):
        Decision(threshold, (0.4, 0.6), "fpr", 0.05, 0.0, {"real": 1, "fake": 1}, True, {})
