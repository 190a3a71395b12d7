"""How strongly a score supports a verdict, in words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from mean_model import mean_model

from deepfake_seq.explain.support import rounded, support_of

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


def test_ratios_have_two_digits() -> None:
    assert [rounded(value) for value in (4.2345, 42.345, 1234, 1e9)] == [
        "4.2",
        "42",
        "1,200",
        "1,000,000 or more",
    ]
