"""Error rates under the conditions of one clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conditions import conditions, latents, logit_at, made_up_table, sigmoid
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_model import mean_model

from deepfake_seq.config import DecisionConfig
from deepfake_seq.sequence.evaluation.matched import ConditionTable
from deepfake_seq.sequence.evaluation.threshold import decide

DECISION = mean_model().decision


@given(st.integers(0, 1000), st.integers(45, 120), st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_identical_conditions_give_the_rates_of_the_run(
    seed: int, clips: int, score: float
) -> None:
    generator = np.random.default_rng(seed)
    labels = np.arange(clips) % 2
    scores = sigmoid(latents(labels, generator))
    table = ConditionTable(
        labels=labels,
        unit=np.arange(clips),
        unchanged=scores,
        clip=np.arange(clips),
        scores=scores,
        conditions=np.tile([100.0, 0.05, 0.1], (clips, 1)),
    )
    own = decide(labels, scores, DecisionConfig())
    query = {"face_pixels": 100.0, "sharpness": 0.05, "blockiness": 0.1}
    matched = table.rates(query, score, own)
    assert matched.reason == "" and matched.decides
    for label, compared in ((0, matched.real), (1, matched.fake)):
        assert compared.rate is not None
        assert compared.rate.value == pytest.approx((scores[labels == label] >= score).mean())
        assert compared.clips == compared.groups == (labels == label).sum()
    assert matched.threshold == pytest.approx(own.threshold)
    assert matched.band == pytest.approx(own.band)


@pytest.mark.parametrize(("face", "coded"), [(95.0, 0.3), (60.0, 0.1), (150.0, 0.35)])
def test_the_stated_rate_is_that_of_clips_distorted_between_the_cells(
    face: float, coded: float
) -> None:
    table = made_up_table(2000)
    generator = np.random.default_rng(99)
    fresh = sigmoid(logit_at(latents(np.zeros(20_000), generator), face, coded))
    threshold = float(np.quantile(table.unchanged[table.labels == 0], 0.95))
    truth = (fresh >= threshold).mean()
    rate = table.rates(conditions(face, coded), threshold, DECISION).real.rate
    assert rate is not None
    assert rate.value == pytest.approx(truth, abs=0.03)
    assert abs(0.05 - truth) > 0.1, "the global rate is far off"


def test_the_stated_rate_of_an_exchangeable_clip_is_calibrated() -> None:
    generator = np.random.default_rng(5)
    stated = []
    for seed in range(300):
        table = made_up_table(120, seed=seed)
        face, coded = 2 ** generator.uniform(5.6, 7.5), 2 ** generator.uniform(-3.5, -1.2)
        score = float(sigmoid(logit_at(latents(np.zeros(1), generator), face, coded))[0])
        rate = table.rates(conditions(face, coded), score, DECISION).real.rate
        assert rate is not None
        stated.append(rate.value)
    for level in (0.1, 0.25, 0.5, 0.75):
        assert (np.array(stated) <= level).mean() == pytest.approx(level, abs=0.08)


def test_more_groups_narrow_the_stated_interval() -> None:
    widths = []
    for clips in (100, 200, 400):
        rate = made_up_table(clips).rates(conditions(100, 0.2), 0.6, DECISION).real.rate
        assert rate is not None
        widths.append(rate.high - rate.low)
    assert widths == sorted(widths, reverse=True)


def test_the_threshold_follows_the_conditions() -> None:
    table = made_up_table(600)
    decision = replace(DECISION, rule="fpr", target_fpr=0.05)
    clean = table.rates(conditions(), 0.5, decision)
    poor = table.rates(conditions(60, 0.4), 0.5, decision)
    assert poor.threshold > clean.threshold
    assert poor.band[1] > clean.band[1]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (conditions(face_pixels=30), "the face is 30 pixels wide; the table covers 4"),
        (conditions(face_pixels=12), "the face is 12 pixels wide; the table covers 4"),
        (conditions(blockiness=3.0), "its blockiness is 3; the table covers"),
    ],
)
def test_outside_the_grid_there_are_no_comparable_clips(
    query: dict[str, float], reason: str
) -> None:
    matched = made_up_table().rates(query, 0.5, DECISION)
    assert matched.reason.startswith(reason)
    assert matched.real.rate is None and matched.sentence.startswith("No comparable clips")


def test_a_table_of_few_groups_informs_only() -> None:
    table = made_up_table(400, per_group=20)
    matched = table.rates(conditions(60, 0.4), 0.5, DECISION)
    assert not matched.decides and matched.reason == ""
    assert matched.sentence.endswith("These clips are too few to change the verdict.")
    assert (matched.threshold, matched.band) == (DECISION.threshold, DECISION.band)


def test_rates_of_few_groups_are_drawn_towards_those_of_the_run() -> None:
    rates = {}
    for per_group in (1, 40, 100):
        table = replace(made_up_table(400), unit=np.arange(400) // per_group)
        rate = table.rates(conditions(60, 0.4), 0.5, DECISION).real.rate
        assert rate is not None
        rates[per_group] = rate.value
    overall = (made_up_table(400).unchanged[made_up_table(400).labels == 0] >= 0.5).mean()
    assert overall < rates[100] < rates[40] < rates[1]


def test_the_sentence_says_what_was_compared() -> None:
    sentence = made_up_table(400).rates(conditions(64, 0.4), 0.9, DECISION).sentence
    assert sentence.startswith("Of 200 real clips made to look like this one (64 px face, strong")
    assert "score this high; of 200 fakes" in sentence
    assert "the ratio of these rates is" in sentence
