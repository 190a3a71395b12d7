"""The report escapes all text and loads nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from typing import Any

import numpy as np
import pytest

from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.sequence.evaluation import breakdown
from deepfake_seq.sequence.evaluation.metrics import at_threshold
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.reports.report import Evaluation, Mistake, render

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(1)>&lt;b&gt;a'b"""


def evaluation(text: str = "clip", **changes: Any) -> Evaluation:
    """Make an evaluation of four clips with `text` in every text field."""
    clips = [
        Clip(f"{text}{number}", number % 2, (text,), facts={"method": text}) for number in range(4)
    ]
    scores = np.array([0.1, 0.4, 0.6, 0.9])
    predictions = Predictions.of("test", clips, scores)
    metrics = at_threshold(predictions.labels, scores, 0.5, resamples=10)
    values: dict[str, Any] = {
        "run": text,
        "store": text,
        "reported": text,
        "model": text,
        "created": text,
        "fingerprint_id": text,
        "split": {text: 4},
        "decision": Decision(
            0.5, (0.4, 0.6), "balanced", 0.05, 0.5, {"real": 2, "fake": 2}, True, {}
        ),
        "warnings": [text],
        "counts": {"train": {"real": 2, "fake": 2}},
        "excluded": {text: 1},
        "metrics": {
            "baselines": {text: {"test": metrics}},
            "test": metrics,
            "methods": {"test": breakdown.by_method(predictions, 0.5)},
        },
        "predictions": {"test": predictions},
        "histories": [],
        "best_epochs": [],
        "mistakes": [Mistake(text, 1, 0.4, note=text), Mistake(text, 0, 0.6, b"jpeg")],
        "frames_requested": True,
        "card": f"{text}\n{text}",
    }
    return Evaluation(**{**values, **changes})


def brief(text: str) -> str:
    """Render a page without evaluated clips, which has few plots."""
    return render(evaluation(text, predictions={}, metrics={"baselines": {}}))


def tags(page: str) -> list[str]:
    """Return all tags, without captions and images."""
    return re.findall(r"<[^>]*", re.sub(r'alt="[^"]*"|base64,[^"]*', "", page))


def test_text_is_escaped() -> None:
    plain, page = render(evaluation("§")), render(evaluation(HOSTILE))
    assert tags(page) == tags(plain)
    assert unescape(page).count(HOSTILE) == plain.count("§")
    assert not any(text in page for text in ("<script", "onerror=alert(1)>", "a'b", "&lt;b&gt;a"))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\u202egpj.exe", r"'\u202egpj.exe'"),
        ("a\x1b[2Jb", r"'a\x1b[2Jb'"),
        ("\udcff", r"'\udcff'"),  # a name that is not UTF-8
        ("Zoë 3 – ½", "Zoë 3 – ½"),
    ],
)
def test_invisible_characters_are_written_as_escapes(text: str, escaped: str) -> None:
    page = brief(text)
    page.encode()
    assert escaped in unescape(page)
    assert text.isprintable() or text not in unescape(page)


def test_a_name_with_a_newline_stays_on_one_line_and_a_card_keeps_its_lines() -> None:
    page = unescape(brief("a\nb"))
    assert r"""<p class="warning">'a\nb'</p>""" in page
    assert "<pre>\na\nb\na\nb\n</pre>" in page


def test_the_policy_allows_only_the_style_and_the_pictures_in_the_page() -> None:
    page = brief("text")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert "style=" not in page, "the policy forbids style attributes"
    assert "@media print" in style


def test_groups_and_methods_are_listed() -> None:
    page = render(evaluation("x"))
    assert "<td>x</td><td>2</td><td>2</td><td>2</td><td>0.750</td>" in page, "the group"
    assert "<td>x</td><td>2</td><td>0.500</td><td>0.750</td>" in page, "the method"


def test_clips_without_groups_are_reported_as_such() -> None:
    clips = [Clip(f"{number}", number % 2) for number in range(4)]
    predictions = Predictions.of("test", clips, np.array([0.1, 0.4, 0.6, 0.9]))
    page = render(evaluation(predictions={"test": predictions}))
    assert "No identity groups given" in page and "By person or source" not in page


def test_only_the_groups_with_the_most_errors_are_listed() -> None:
    names = tuple(f"person{number:02}" for number in range(45))
    clips = [Clip(f"{number}", number % 2, names) for number in range(4)]
    predictions = Predictions.of("test", clips, np.array([0.1, 0.4, 0.6, 0.9]))
    page = render(evaluation(predictions={"test": predictions}))
    assert page.count("<td>person") == 40
    assert "5 more groups" in page


def test_a_split_of_one_class_has_no_curves() -> None:
    clips = [Clip(f"{number}", 1) for number in range(4)]
    predictions = Predictions.of("unseen", clips, np.array([0.1, 0.4, 0.6, 0.9]))
    metrics = {
        "baselines": {},
        "unseen": at_threshold(predictions.labels, predictions.scores, 0.5),
        "methods": {"unseen": []},
    }
    page = render(evaluation(predictions={"unseen": predictions}, metrics=metrics))
    assert "Unseen clips" in page and "ROC curve" not in page and "Confusion matrix" in page
