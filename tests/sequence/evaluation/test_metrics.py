from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from deepfake_seq.sequence.evaluation.metrics import at_threshold, auc
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS


def calibrated(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores; the fraction of fakes equals the score."""
    generator = np.random.default_rng(seed)
    scores = generator.random(count)
    return (generator.random(count) < scores).astype(np.int64), scores


def test_fake_is_the_positive_class() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    metrics = at_threshold(labels, np.array([0.1, 0.6, 0.5, 0.9, 0.2]), 0.5)
    assert metrics["confusion"] == {
        "real_called_real": 1,
        "real_called_fake": 1,
        "fake_called_real": 1,
        "fake_called_fake": 2,
    }
    assert metrics["clips"] == {"real": 2, "fake": 3}
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics["per_class"]["fake"]["f1"] == pytest.approx(2 / 3)
    assert metrics["per_class"]["real"]["recall"] == pytest.approx(1 / 2)


def test_calling_everything_fake_has_chance_level_metrics() -> None:
    labels = np.array([0] * 10 + [1] * 90)
    metrics = at_threshold(labels, np.full(100, 0.9), 0.5)
    assert metrics["per_class"]["fake"]["f1"] > 0.94
    assert metrics["accuracy"] == 0.9
    assert metrics["balanced_accuracy"] == 0.5
    assert metrics["macro_f1"] < 0.5
    assert metrics["auc"] == metrics["eer"] == 0.5
    assert metrics["tpr_at_1_fpr"] == 0.0
    assert metrics["average_precision"] == pytest.approx(0.9)  # the fraction of fakes


def test_one_class_supports_only_the_accuracy() -> None:
    assert auc(np.array([1, 1]), np.array([0.1, 0.9])) is None
    metrics = at_threshold(np.array([1, 1]), np.array([0.1, 0.9]), 0.5)
    assert {name for name in METRICS if metrics[name] is not None} == {"accuracy"}
    assert metrics["confusion"]["fake_called_real"] == 1
    assert metrics["per_class"]["real"]["recall"] is None
    assert set(metrics["intervals"].values()) == {None}


def test_without_clips_every_metric_is_none() -> None:
    metrics = at_threshold(np.zeros(0, dtype=np.int64), np.zeros(0), 0.5, groups=[])
    assert metrics["clips"] == {"real": 0, "fake": 0} and metrics["groups"] == 0
    assert {metrics[name] for name in METRICS} == {None}


def test_metrics_are_plain_json() -> None:
    labels, scores = calibrated(40)
    metrics = at_threshold(labels, scores, np.float64(0.5), band=(0.4, 0.6))  # type: ignore[arg-type]
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_uncalibrated_scores_have_a_calibration_error() -> None:
    labels, scores = calibrated(4000)
    good = at_threshold(labels, scores, 0.5, resamples=50)
    sharpened = scores**4 / (scores**4 + (1 - scores) ** 4)  # the same ranking, overconfident
    bad = at_threshold(labels, sharpened, 0.5, resamples=50)
    assert bad["auc"] == pytest.approx(good["auc"])
    assert good["ece"] < 0.05 < 0.1 < bad["ece"]
    assert bad["brier"] > good["brier"] + 0.02
    assert bad["intervals"]["ece"][0] > good["intervals"]["ece"][1]


def test_calibration_errors_do_not_depend_on_the_class_balance() -> None:
    labels, scores = calibrated(600)
    more = np.concatenate([np.arange(600), np.repeat(np.flatnonzero(labels == 1), 9)])
    once = at_threshold(labels, scores, 0.5, resamples=2)
    often = at_threshold(labels[more], scores[more], 0.5, resamples=2)
    assert (often["ece"], often["brier"]) == pytest.approx((once["ece"], once["brier"]))
    assert often["average_precision"] > once["average_precision"] + 0.05


def test_tpr_at_1_fpr_allows_no_false_alarm_below_100_real_clips() -> None:
    labels = np.array([0] * 99 + [1] * 4)
    scores = np.concatenate([np.linspace(0.0, 0.5, 98), [0.8], [0.4, 0.7, 0.9, 0.95]])
    assert at_threshold(labels, scores, 0.5)["tpr_at_1_fpr"] == 0.5
    one_more = at_threshold(np.append(labels, 0), np.append(scores, 0.1), 0.5)
    assert one_more["tpr_at_1_fpr"] == 0.75


def test_the_abstention_band_includes_its_lower_end_and_not_its_upper() -> None:
    labels = np.array([0, 1, 0, 1, 0])
    scores = np.array([0.1, 0.4, 0.5, 0.6, 0.9])
    doubt = at_threshold(labels, scores, 0.5, band=(0.4, 0.6))["doubt"]
    assert doubt == {"clips": 2, "share": 0.4, "accuracy_outside": pytest.approx(2 / 3)}
    everything = at_threshold(labels, scores, 0.5, band=(0.0, 1.0))["doubt"]
    assert everything == {"clips": 5, "share": 1.0, "accuracy_outside": None}
    nothing = at_threshold(labels, scores, 0.5)["doubt"]
    assert nothing["clips"] == 0 and nothing["accuracy_outside"] == pytest.approx(2 / 5)


def test_clips_of_one_person_widen_the_interval() -> None:
    labels, scores = calibrated(200)
    apart = at_threshold(labels, scores, 0.5)
    people = [(f"person{number // 20}",) for number in range(200)]
    order = np.argsort(scores)  # clips of one person have similar scores
    together = at_threshold(labels[order], scores[order], 0.5, groups=people)
    assert (apart["groups"], together["groups"]) == (200, 10)
    assert together["auc"] == pytest.approx(apart["auc"])
    assert np.ptp(together["intervals"]["auc"]) > np.ptp(apart["intervals"]["auc"])


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_the_auc_is_that_of_scikit_learn_with_equal_scores_too(
    rows: list[tuple[bool, int]],
) -> None:
    labels, scores = (np.array(values) for values in zip(*rows, strict=True))
    value = auc(labels.astype(np.int64), scores / 7)
    if len(set(labels.tolist())) == 1:
        assert value is None
    else:
        assert value == pytest.approx(roc_auc_score(labels, scores / 7))


def test_an_auc_of_scores_that_are_not_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="scores must be numbers"):
        auc(np.array([0, 1]), np.array([0.5, np.nan]))
