"""How strongly a score supports a verdict, in words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from conditions import conditions, made_up_table
from mean_model import mean_model

from deepfake_seq.sequence.evaluation.matched import MatchedRates
from deepfake_seq.support import Support, rounded, support_of
from deepfake_seq.verdict_text import support_sentence

DECISION = replace(mean_model().decision, clips={"real": 400, "fake": 30})


@pytest.mark.parametrize(
    ("ratio", "level"),
    [
        (1.5, "no"),
        (2.5, "weak"),
        (9.9, "weak"),
        (11, "moderate"),
        (99, "moderate"),
        (101, "strong"),
    ],
)
def test_the_level_follows_the_calibrated_odds(ratio: float, level: str) -> None:
    support = support_of("fake", math.log(ratio), DECISION)
    assert support is not None and support.level == level
    assert support.ratio == pytest.approx(ratio) and not support.is_capped


def test_few_validation_clips_cap_the_level() -> None:
    """30 fake clips cannot show that a score is rarer than 1 in 31 among fakes."""
    support = support_of("real", -math.log(5000), DECISION)
    assert support is not None and support.is_capped
    assert (support.level, support.cap, support.capped_ratio) == ("moderate", 31, 31)
    fake = support_of("fake", math.log(5000), DECISION)
    assert fake is not None and (fake.level, fake.cap) == ("strong", 401)


def test_a_verdict_against_the_odds_has_no_support() -> None:
    support = support_of("real", math.log(1.5), DECISION)
    assert support is not None and support.level == "no"


def test_without_a_verdict_or_without_fakes_there_is_no_statement() -> None:
    assert support_of("inconclusive", 3.0, DECISION) is None
    without = replace(DECISION, clips={"real": 400, "fake": 0})
    assert support_of("fake", 3.0, without) is None


def matched_support(verdict: str, score: float) -> tuple[Support, MatchedRates]:
    """Return the support of a score under the conditions of a good clip, and its rates."""
    matched = made_up_table(800).rates(conditions(), score, DECISION)
    support = support_of(verdict, math.log(score / (1 - score)), DECISION, matched)
    assert support is not None
    return support, matched


def test_rates_under_the_conditions_of_the_clip_replace_the_calibrated_odds() -> None:
    support, matched = matched_support("fake", 0.9)
    assert matched.ratio is not None and support.basis == "matched"
    assert support.ratio == matched.ratio.value != pytest.approx(9)
    assert support.cap == matched.real.groups + 1
    sentence = support_sentence(support, "the score")
    assert "made to look like this one, fake ones score at least as high as the score" in sentence


def test_a_real_verdict_is_supported_by_the_clips_that_score_lower() -> None:
    support, matched = matched_support("real", 0.6)
    assert matched.real.rate is not None and matched.fake.rate is not None
    lower = (1 - matched.real.rate.value) / (1 - matched.fake.rate.value)
    assert support.ratio == pytest.approx(lower, rel=0.2) and support.ratio > 1
    assert support.cap == matched.fake.groups + 1
    assert "real ones score lower than the score" in support_sentence(support, "the score")


def test_a_ratio_that_may_be_1_gives_no_support() -> None:
    matched = made_up_table(800).rates(conditions(60, 0.4), 0.2, DECISION)  # all score this high
    support = support_of("real", math.log(0.2 / 0.8), DECISION, matched)
    assert support is not None and support.interval is not None
    assert support.ratio > 2 and support.interval[0] < 1 and support.level == "no"


def test_a_table_that_does_not_decide_does_not_change_the_support() -> None:
    few = made_up_table(400, per_group=20).rates(conditions(60, 0.4), 0.9, DECISION)
    support = support_of("fake", math.log(9), DECISION, few)
    assert support is not None and (support.basis, support.level) == ("calibration", "weak")


def test_ratios_have_two_digits() -> None:
    assert [rounded(value) for value in (4.2345, 42.345, 1234, 1e9)] == [
        "4.2",
        "42",
        "1,200",
        "1,000,000 or more",
    ]
