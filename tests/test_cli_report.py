"""`deepseq report` on generated clips: the HTML file, its JSON document, and the audit log."""

from __future__ import annotations

import hashlib
import html.parser
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from clips import write_images

from deepfake_seq import audit

pytestmark = pytest.mark.usefixtures("tiny_cnn")

EXTRACT = ["--detector", "none", "--weights", "untrained", "--frames", "8", "--workers", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips, a frame model, and a model of statistics, that were trained on them."""
    folder = tmp_path_factory.mktemp("report")
    rows = ["path,label,group"]
    for number in range(12):
        label = ("real", "fake")[number % 2]
        generator = np.random.default_rng(number)
        shade = 60 + 100 * (number % 2)
        images = [
            np.asarray(generator.integers(shade, shade + 60, (64, 64, 3)), dtype=np.uint8)
            for _ in range(10)
        ]
        path = folder / "videos" / label / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_images(path, images)
        rows.append(f"{label}/{number}.mp4,{label},person{number // 2}")
    labels = folder / "labels.csv"
    labels.write_text("\n".join(rows))
    extracted = deepseq(
        "extract", folder / "videos", "--labels", labels, "--out", folder / "features", *EXTRACT
    )
    assert extracted.exit_code == 0, extracted.stderr
    for model in ("dense", "logistic"):
        fitted = deepseq(
            "fit",
            *("--features", folder / "features", "--out", folder / model, "--model", model),
            *("--epochs", "3", "--members", "1"),
        )
        assert fitted.exit_code == 0, fitted.stderr
        # The clips are noise: without this, every score would be in the abstention band.
        path = folder / model / "model.json"
        values = json.loads(path.read_text())
        values["decision"]["band"] = [values["decision"]["threshold"]] * 2
        path.write_text(json.dumps(values))
    return folder


class Page(html.parser.HTMLParser):
    """The text of a page, its tags, and everything it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [
            value or "" for name, value in attrs if name in ("href", "src", "srcset", "action")
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def report(folder: Path, out: Path, *arguments: Any) -> Any:
    return deepseq("report", *arguments, "--out", out, "--workers", "1")


def test_a_report_is_one_page_that_loads_nothing(folder: Path, tmp_path: Path) -> None:
    clip = folder / "videos" / "fake" / "1.mp4"
    result = report(folder, tmp_path, clip, "--run", folder / "dense", "--maps", "1")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.mp4.html", "1.mp4.json"]
    page = Page(tmp_path / "1.mp4.html")
    assert page.references and all(value.startswith("data:image/") for value in page.references)
    assert not {"script", "link", "iframe", "form"} & set(page.tags)
    assert "default-src 'none'" in (tmp_path / "1.mp4.html").read_text()


@pytest.mark.parametrize("model", ["dense", "logistic"])
def test_the_numbers_of_a_report_are_those_of_predict(
    folder: Path, tmp_path: Path, model: str
) -> None:
    clip, run = folder / "videos" / "fake" / "1.mp4", folder / model
    (predicted,) = json.loads(deepseq("predict", clip, "--run", run, "--json").stdout)
    result = report(folder, tmp_path, clip, "--run", run, "--maps", "2", "--json")
    (printed,) = json.loads(result.stdout)
    document = json.loads((tmp_path / "1.mp4.json").read_text())
    assert document["clip"] == predicted
    assert printed == {
        **predicted,
        "report": str(tmp_path / "1.mp4.html"),
        "document": str(tmp_path / "1.mp4.json"),
    }
    (person,) = document["explanation"]["people"]
    assert len(person["frames"]) == 8 and person["frames_are_exact"] == (model == "dense")
    odds = np.exp(person["log_odds"])
    assert odds / (1 + odds) == pytest.approx(predicted["score"])
    assert f"{predicted['score']:.3f}" in Page(tmp_path / "1.mp4.html").text
    if model == "dense":
        mean = np.mean([frame["log_odds"] for frame in person["frames"]])
        assert mean == pytest.approx(person["log_odds"], abs=1e-4)
    assert list(person["regions"]) == ["eyes", "nose", "mouth", "skin", "ring", "background"]
    assert np.shape(person["maps"][0]["log_odds"]) == (5, 5)
    assert document["explanation"]["map_crops"] == 2 * (25 + 6)


def test_a_report_names_file_run_weights_versions_and_times(folder: Path, tmp_path: Path) -> None:
    clip, run = folder / "videos" / "real" / "0.mp4", folder / "dense"
    report(folder, tmp_path, clip, "--run", run, "--maps", "0")
    text = " ".join(Page(tmp_path / "0.mp4.html").text.split())
    for path in (clip, run / "model.json", run / "model.safetensors"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert "H.264" in text and "Edit lists" in text and "Lavf" in text
    assert "Absence of evidence is no proof" in text
    assert "Sound: the file has none" in text and "8 of 10 were read" in text
    assert "real called fake" in text and "interval" in text
    document = json.loads((tmp_path / "0.mp4.json").read_text())
    assert document["versions"]["deepseq"] and document["started"].endswith("+00:00")
    assert document["started"] <= document["finished"]
    (test,) = [row for row in document["run"]["errors"] if row["split"] == "validation"]
    metrics = json.loads((run / "metrics.json").read_text())["validation"]
    assert test["real_called_fake"]["wrong"] == metrics["confusion"]["real_called_fake"]
    assert test["real_called_fake"]["clips"] == metrics["clips"]["real"]
    assert test["auc"] == metrics["auc"]


def test_a_clip_that_cannot_be_read_gets_a_report_with_the_reason(
    folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "<b>bad<b>.mp4"
    broken.write_text("not a video")
    result = report(folder, tmp_path / "out", broken, "--run", folder / "dense")
    assert result.exit_code == 4
    page = tmp_path / "out" / "<b>bad<b>.mp4.html"
    assert "Inconclusive" in Page(page).text
    assert "could not be read as a video" in Page(page).text
    assert "<b>bad" not in page.read_text(), "names are escaped"


def test_any_file_name_can_be_reported(folder: Path, tmp_path: Path) -> None:
    names = [os.fsdecode(b"not utf-8 \xff.mp4"), "x" * 250 + ".mp4", "two\nlines.mp4"]
    for name in names:
        (tmp_path / name).write_text("not a video")
    clips = [tmp_path / name for name in names]
    log = tmp_path / "audit.jsonl"
    result = report(
        folder, tmp_path / "out", *clips, "--run", folder / "dense", "--audit", log, "--json"
    )
    assert result.exit_code == 4, result.stderr
    printed = json.loads(result.stdout)
    assert [row["path"] for row in printed] == [str(clip) for clip in clips]
    assert all(Path(row["report"]).exists() for row in printed)
    assert audit.verify(log).entries == 3


def test_reports_on_clips_of_the_same_name_do_not_replace_each_other(
    folder: Path, tmp_path: Path
) -> None:
    for name in "ab":
        copy = tmp_path / name / "clip.mp4"
        copy.parent.mkdir()
        copy.write_bytes((folder / "videos" / "real" / "0.mp4").read_bytes())
    out = tmp_path / "out"
    result = report(
        folder, out, tmp_path / "a", tmp_path / "b", "--run", folder / "dense", "--maps", "0"
    )
    assert {path.name for path in out.glob("*.html")} == {"clip.mp4.html", "clip.mp4-2.html"}
    assert str(out / "clip.mp4-2.html") in result.stdout
    assert "verdict" in result.stderr, "a summary of several clips"


def test_results_are_appended_to_an_audit_log(folder: Path, tmp_path: Path) -> None:
    clip, log = folder / "videos" / "fake" / "1.mp4", tmp_path / "audit.jsonl"
    arguments = [clip, "--run", folder / "dense", "--audit", log]
    report(folder, tmp_path / "out", *arguments, "--maps", "0")
    deepseq("predict", *arguments)
    made, predicted = map(json.loads, log.read_text().splitlines())
    page = (tmp_path / "out" / "1.mp4.html").read_bytes()
    assert made["report_sha256"] == hashlib.sha256(page).hexdigest()
    assert made["clip_sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert (predicted["verdict"], predicted["score"]) == (made["verdict"], made["score"])
    assert audit.verify(log).is_whole
    assert deepseq("verify", log).exit_code == 0


def test_a_log_that_cannot_be_continued_is_refused_before_any_work(
    folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text("my notes\n")
    clip = folder / "videos" / "fake" / "1.mp4"
    result = report(folder, tmp_path / "out", clip, "--run", folder / "dense", "--audit", log)
    assert result.exit_code == 1 and "nothing can be appended" in result.stderr
    assert not (tmp_path / "out").exists() and log.read_text() == "my notes\n"


def test_the_most_suspicious_window_is_explained(folder: Path, tmp_path: Path) -> None:
    halves = [
        np.asarray(np.random.default_rng(at).integers(low, low + 60, (64, 64, 3)), dtype=np.uint8)
        for low in (60, 160, 60)
        for at in range(25)
    ]
    clip = tmp_path / "long.mp4"
    write_images(clip, halves)
    arguments = [clip, "--run", folder / "dense", "--windows", "1"]
    (predicted,) = json.loads(deepseq("predict", *arguments, "--json").stdout)
    result = report(folder, tmp_path / "out", *arguments, "--maps", "0")
    assert result.exit_code in (0, 4), result.stderr
    document = json.loads((tmp_path / "out" / "long.mp4.json").read_text())
    assert document["clip"] == predicted and len(predicted["windows"]) == 3
    explanation = document["explanation"]
    deciding = max(predicted["windows"], key=lambda window: window["score"] or 0)
    bounds = [explanation["start_seconds"], explanation["end_seconds"]]
    assert bounds == [deciding["start_seconds"], deciding["end_seconds"]] == [1.0, 2.0]
    (person,) = explanation["people"]
    assert all(1 <= frame["pts_seconds"] < 2 for frame in person["frames"])
    text = " ".join(Page(tmp_path / "out" / "long.mp4.html").text.split())
    assert "The most suspicious window decides" in text
    assert "at most 8 in each of 3 windows were read" in text
