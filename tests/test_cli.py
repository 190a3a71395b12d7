"""Tests of the commands on generated clips."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from click.testing import Result
from clips import ClipStyle, write_clip, write_images
from conditions import made_up_table
from records import make_record, make_store, write_store

from deepfake_seq import weights
from deepfake_seq.commands.extract import _note
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resume import Outcome
from deepfake_seq.sequence.runs.condition_table import write_table

pytestmark = pytest.mark.usefixtures("tiny_cnn")

EXTRACT = [
    *("--detector", "none", "--weights", "untrained", "--evidence", "features"),
    *("--frames", "8", "--workers", "1"),
]


def one_line(result: Result) -> str:
    """Return the only line on stderr; a usage error has a second line with a hint."""
    line, *hint = result.stderr.splitlines()
    assert len(hint) == (result.exit_code == 2)
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips, a broken one, and a CSV file with their labels and groups."""
    folder = tmp_path_factory.mktemp("cli")
    rows = ["path,label,group"]
    for number in range(10):
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
    (folder / "videos" / "real" / "broken.mp4").write_text("not a video")
    (folder / "videos" / "labels.csv").write_text("\n".join([*rows, "real/broken.mp4,real,x"]))
    return folder


@pytest.fixture(scope="module")
def extracted(folder: Path) -> dict[str, Any]:
    """JSON document of the first extraction."""
    labels = folder / "videos" / "labels.csv"
    store = folder / "features"
    result = deepseq(
        "extract", folder / "videos", "--labels", labels, "--out", store, *EXTRACT, "--json"
    )
    assert result.exit_code == 3, result.stderr
    assert "real/broken.mp4: decode_error" in result.stderr
    assert "the CNN is untrained" in result.stderr
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def fitted(folder: Path, extracted: dict[str, Any]) -> dict[str, Any]:
    """JSON document of the first fit."""
    result = deepseq(
        "fit", "--features", folder / "features", "--out", folder / "runs" / "one", "--json",
        "--epochs", 3, "--learning-rate", 0.01,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    # The clips are noise: without this, every score would be in the abstention band.
    remove_abstention_band(folder / "runs" / "one")
    return dict(json.loads(result.stdout))


def remove_abstention_band(run: Path) -> None:
    with edited_description(run) as values:
        values["decision"]["band"] = [values["decision"]["threshold"]] * 2


@contextmanager
def edited_description(run: Path) -> Iterator[dict[str, Any]]:
    """Yield the content of `model.json`, and write it back with its changes."""
    values = json.loads((run / "model.json").read_text())
    yield values
    (run / "model.json").write_text(json.dumps(values))


def test_extract_prints_the_documented_json_keys(extracted: dict[str, Any], folder: Path) -> None:
    assert extracted["seconds"] > 0 and len(extracted["fingerprint_id"]) == 12
    del extracted["seconds"], extracted["fingerprint_id"]
    assert extracted == {
        "store": str(folder / "features"),
        "videos": 11,
        "ok": 10,
        "failed": 1,
        "skipped": 0,
        "by_status": {"ok": 10, "decode_error": 1},
        "moved": {},
        "pruned": [],
    }


@pytest.mark.slow
def test_extract_and_predict_finish_without_a_writable_home(
    folder: Path, fitted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").touch()  # no folder can be created in a file
    for name in ("HOME", "DEEPSEQ_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    clip = folder / "videos" / "fake" / "1.mp4"
    extracted = deepseq("extract", clip, "--out", tmp_path / "store", *EXTRACT)
    assert extracted.exit_code == 0, extracted.stderr
    predicted = deepseq("predict", clip, "--run", fitted["run"])
    assert predicted.exit_code == 0, predicted.stderr
    for result in (extracted, predicted):
        assert result.stderr.count("DEEPSEQ_HOME") == 1
        assert f"cannot be saved in {tmp_path / 'home'}" in result.stderr


@pytest.mark.slow
def test_a_long_extraction_prints_an_estimate(tmp_path: Path) -> None:
    for number in range(101):
        (tmp_path / f"{number}.mp4").write_text(f"not a video: {number}")
    result = deepseq("extract", tmp_path, "--out", tmp_path / "store", *EXTRACT)
    (line,) = (line for line in result.stderr.splitlines() if "estimate" in line)
    assert re.search(r"estimate: 101 videos will take about \d+ s and [\d.]+ \wB of disk", line)


def test_extract_warns_of_fewer_frames_than_fit_needs(folder: Path, tmp_path: Path) -> None:
    clip = folder / "videos" / "real" / "0.mp4"
    for frames, count in ((7, 1), (8, 0)):
        out = tmp_path / str(frames)
        result = deepseq("extract", clip, "--out", out, *EXTRACT, "--frames", frames)
        assert result.exit_code == 0
        assert result.stderr.count("at least 8 frames of a clip. Received: --frames 7") == count


def test_a_profile_lists_every_stage(folder: Path, tmp_path: Path) -> None:
    clips = [folder / "videos" / "real" / f"{number}.mp4" for number in (0, 2)]
    command = ["extract", *clips, "--out", tmp_path / "store", *EXTRACT, "--profile", "--json"]
    result = deepseq(*command)
    assert result.exit_code == 0, result.stderr
    profile = json.loads(result.stdout)["profile"]
    done = {name: (row["done"], row["unit"]) for name, row in profile["stages"].items()}
    assert done == {
        "decode": (2, "videos"),
        "detect": (16, "frames"),
        "crop": (16, "faces"),
        "cnn": (16, "faces"),
        "store": (2, "videos"),
    }
    for text in ("stage", "idle", "16 faces", f"bottleneck: {profile['bottleneck']}"):
        assert text in result.stderr
    again = deepseq(*command)  # nothing is left to extract
    assert "profile" not in json.loads(again.stdout) and "bottleneck" not in again.stderr


def test_the_progress_bar_names_the_bottleneck() -> None:
    profile = Profile()
    profile.start(lanes=2)
    profile.add("decode", 9.0, 3)
    assert _note(Outcome("a.mp4", "ok"), profile) == "ok; bottleneck: decode"
    assert _note(Outcome("a.mp4", "ok", skipped=True), None) == "skipped"


def test_a_timeout_says_what_to_do_and_is_not_repeated(tmp_path: Path) -> None:
    style = ClipStyle(size=(3840, 2160), options={"preset": "ultrafast"})
    clip = write_clip(tmp_path / "4k.mp4", 16, style)
    command = ["extract", clip, "--out", tmp_path / "store", *EXTRACT]
    late = deepseq(*command, "--timeout", "0.1")
    assert late.exit_code == 3
    message = r"4k.mp4: timeout: decoding took longer than 0.1 s; try --timeout \d+, or --sampling"
    assert re.search(message, late.stderr), late.stderr
    assert "tries again" not in late.stderr
    assert "1 already in the store" in deepseq(*command, "--timeout", "0.1").stdout


def test_a_second_extract_skips_all_videos(extracted: dict[str, Any], folder: Path) -> None:
    labels, store = folder / "videos" / "labels.csv", folder / "features"
    again = deepseq("extract", folder / "videos", "--labels", labels, "--out", store, *EXTRACT)
    assert again.exit_code == 0
    assert "0 extracted, 0 failed, 11 already in the store" in again.stdout
    assert "1 videos failed in an earlier extraction; --retry-failed" in again.stderr


def test_fit_prints_the_documented_json_keys(fitted: dict[str, Any], folder: Path) -> None:
    assert set(fitted) == {
        "run",
        "model",
        "members",
        "parameters",
        "split",
        "views",
        "threshold",
        "warnings",
        "validation",
        "test",
        "baselines",
    }
    assert fitted["parameters"] == {"total": 424_801, "trainable": 424_609}
    assert set(fitted["split"]) == {"train", "validation", "test", "dropped"}
    assert (folder / "runs" / "one" / "plots" / "training.png").is_file()


def test_predict_prints_a_verdict_for_every_clip(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    short = write_images(tmp_path / "short.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    clips = [folder / "videos" / "real" / name for name in ("0.mp4", "broken.mp4")]
    result = deepseq("predict", *clips, short, "--run", folder / "runs" / "one", "--json")
    assert result.exit_code == 4
    good, broken, few = json.loads(result.stdout)
    assert good["verdict"] in ("real", "fake") and 0 < good["score"] < 1
    assert (good["verdict"] == "fake") == (good["score"] >= good["threshold"])
    assert (good["frames_used"], good["frames_sampled"], good["reason"]) == (8, 8, "")
    assert (broken["verdict"], broken["score"]) == ("inconclusive", None)
    assert broken["reason"].startswith("decode_error: ")
    assert (few["verdict"], few["score"]) == ("inconclusive", None)
    assert "only 3 sampled frames" in few["reason"]
    assert set(good) == {
        "path", "verdict", "score", "threshold", "decision", "data", "frames_used",
        "frames_sampled", "reason", "run", "people", "windows", "cause", "file", "matched",
        "reference", "novelty", "regions",
    }  # fmt: skip
    assert [verdict["cause"] for verdict in (good, broken, few)] == [
        "", "decode_error", "too_few_frames",
    ]  # fmt: skip
    assert (good["file"]["codec"], good["file"]["frames_total"]) == ("h264", 10)
    assert good["file"]["sha256"] == weights.digest_of(clips[0])
    assert broken["file"]["codec"] is None
    (person,) = good["people"]
    assert (person["verdict"], person["score"]) == (good["verdict"], good["score"])
    assert (person["box_xyxy"], person["frame_size"]) == ([0.0, 0.0, 64.0, 64.0], [64, 64])
    assert good["decision"]["clips"].keys() == {"real", "fake"}
    validated = sum(good["decision"]["clips"].values())
    assert good["novelty"]["clips"] == validated and 0 < good["novelty"]["p"] <= 1
    assert good["regions"] == {}, "the run uses no block with regions"
    assert broken["novelty"] is None


def test_a_novelty_level_that_no_clip_can_reach_is_refused(
    fitted: dict[str, Any], folder: Path
) -> None:
    run, clip = folder / "runs" / "one", folder / "videos" / "real" / "0.mp4"
    result = deepseq("predict", clip, "--run", run, "--novelty-alpha", "0.0001")
    assert result.exit_code == 2
    assert "--novelty-alpha is too small for" in result.stderr
    assert "the smallest p-value is 0." in result.stderr


def test_predict_prints_one_short_line_per_clip_and_details_if_verbose(
    fitted: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    result = deepseq("predict", "videos/real/0.mp4")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert re.fullmatch(
        r"videos/real/0.mp4: (real|fake), score 0\.\d{3}, threshold 0\.\d{3}, 8 of 8 frames", line
    )
    (note,) = result.stderr.splitlines()
    assert re.fullmatch(
        r"deepseq: the run has \d notes; `deepseq info runs/one` or --verbose prints them", note
    )
    verbose = deepseq("predict", "videos/real/0.mp4", "--verbose")
    verdict, novelty, details = verbose.stdout.splitlines()
    assert verdict == line
    assert re.fullmatch(
        r"  Novelty p-value [01]\.\d{3} among \d+ validation clips; the smallest possible one is "
        r"0\.\d{3}\.",
        novelty,
    )
    assert "set for the best balanced accuracy, with a false-positive rate of" in details
    assert details.endswith("fake validation clips of features; run runs/one")
    assert "the metrics are meaningless" in verbose.stderr


def test_predict_prints_a_line_as_soon_as_a_clip_is_done(
    fitted: dict[str, Any], folder: Path
) -> None:
    videos, run = folder / "videos", folder / "runs" / "one"
    lines = deepseq("predict", videos, "--run", run, "--jsonl")
    rows = deepseq("predict", videos, "--run", run, "--csv")
    document = json.loads(deepseq("predict", videos, "--run", run, "--json").stdout)
    assert (lines.exit_code, rows.exit_code) == (4, 4)
    by_path = {verdict["path"]: verdict for verdict in document}
    for line in lines.stdout.splitlines():
        verdict = json.loads(line)
        assert verdict == by_path.pop(verdict["path"])
    assert not by_path
    by_path = {row["path"]: row for row in csv.DictReader(io.StringIO(rows.stdout))}
    assert len(by_path) == 11 == len(rows.stdout.splitlines()) - 1
    for verdict in document:
        row = by_path[verdict["path"]]
        assert row["verdict"] == verdict["verdict"] and row["reason"] == verdict["reason"]
        assert row["score"] == ("" if verdict["score"] is None else str(verdict["score"]))
        assert row["people"] == str(len(verdict["people"]))


def test_predict_summarises_several_clips(fitted: dict[str, Any], folder: Path) -> None:
    videos, run = folder / "videos" / "real", folder / "runs" / "one"
    result = deepseq("predict", videos, "--run", run)
    table = result.stderr.splitlines()[-3:]
    assert table[0].split() == ["verdict", "clips", "scores", "or", "causes"]
    rows = {words[0]: words[1:] for words in map(str.split, result.stderr.splitlines())}
    assert rows["inconclusive"] == ["1", "1", "decode_error"]
    scores = re.findall(r": (real|fake), score (0\.\d{3})", result.stdout)
    for kind in {kind for kind, _ in scores}:
        found = sorted(score for verdict, score in scores if verdict == kind)
        assert rows[kind] == [str(len(found)), *" to ".join(sorted({found[0], found[-1]})).split()]
    assert "clips" not in deepseq("predict", videos / "0.mp4", "--run", run).stderr


def test_predict_prints_in_one_format(folder: Path) -> None:
    result = deepseq("predict", folder, "--run", folder, "--json", "--csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give only one of --json, --jsonl and --csv" in result.stderr


def test_predict_classifies_the_videos_in_a_folder(fitted: dict[str, Any], folder: Path) -> None:
    run, videos = folder / "runs" / "one", folder / "videos" / "fake"
    result = deepseq("predict", videos, "--run", run, "--json")
    paths = [verdict["path"] for verdict in json.loads(result.stdout)]
    assert paths == [str(videos / f"{number}.mp4") for number in range(1, 10, 2)]


def test_predict_classifies_a_clip_window_by_window(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    clip = write_images(tmp_path / "long.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 50)
    run = folder / "runs" / "one"
    document = deepseq("predict", clip, "--run", run, "--windows", "1", "--json")
    (verdict,) = json.loads(document.stdout)
    spans = [(window["start_seconds"], window["end_seconds"]) for window in verdict["windows"]]
    assert spans == [(0.0, 1.0), (1.0, 2.0)]
    for window in verdict["windows"]:
        (person,) = window["people"]
        assert window["start_seconds"] <= person["start_seconds"]
        assert person["end_seconds"] < window["end_seconds"]
    scores = [window["score"] for window in verdict["windows"]]
    assert verdict["score"] == max(score for score in scores if score is not None)
    lines = deepseq("predict", clip, "--run", run, "--windows", "1").stdout.splitlines()
    assert [line.split(":")[0] for line in lines[1:3]] == ["  0.0 to 1.0 s", "  1.0 to 2.0 s"]


def test_a_face_smaller_than_in_validation_gets_no_verdict(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    clip = write_images(tmp_path / "small.mp4", [np.full((40, 40, 3), 90, np.uint8)] * 20)
    result = deepseq("predict", clip, "--run", folder / "runs" / "one")
    assert result.exit_code == 4
    assert (
        "inconclusive (the face is 40 pixels wide; this run was validated on faces at least 64 "
        "pixels wide)"
    ) in result.stdout


def test_predict_classifies_only_the_given_time(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    clip = write_images(tmp_path / "long.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 50)
    run = folder / "runs" / "one"
    options = ["--start", "0.5", "--end", "1.2"]
    (verdict,) = json.loads(deepseq("predict", clip, "--run", run, *options, "--json").stdout)
    (person,) = verdict["people"]
    assert 0.5 <= person["start_seconds"] < person["end_seconds"] < 1.2
    assert verdict["windows"] == []
    late = deepseq("predict", clip, "--run", run, "--start", "9")
    assert "the video has no frames from 9" in late.stdout


def test_whom_to_look_at_is_no_reason_to_refuse_a_run(fitted: dict[str, Any], folder: Path) -> None:
    clip, run = folder / "videos" / "real" / "0.mp4", folder / "runs" / "one"
    usual = json.loads(deepseq("predict", clip, "--run", run, "--json").stdout)
    for options in (["--faces", "largest"], ["--short-side", "720"]):
        result = deepseq("predict", clip, "--run", run, *options, "--json")
        assert json.loads(result.stdout) == usual


def test_a_score_in_the_abstention_band_is_inconclusive(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "runs" / "one", run)
    with edited_description(run) as values:
        values["decision"]["band"] = [0.0, 1.0]
    clip = folder / "videos" / "real" / "0.mp4"
    result = deepseq("predict", clip, "--run", run, "--json")
    assert result.exit_code == 4
    (verdict,) = json.loads(result.stdout)
    assert (verdict["verdict"], verdict["score"]) == ("inconclusive", None)
    assert verdict["reason"] == (
        "its score is in the run's abstention band, from 0.000 to below 1.000"
    )


def test_predict_refuses_a_run_made_with_other_features(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "runs" / "one", run)
    with edited_description(run) as values:
        values["extract_config"]["faces"]["margin"] = 0.5
    result = deepseq("predict", folder / "videos" / "real" / "0.mp4", "--run", run)
    assert result.exit_code == 1
    assert "faces.margin is 0.3 there, 0.5 here" in result.stderr


def test_info_describes_a_store_and_a_run(fitted: dict[str, Any], folder: Path) -> None:
    store = deepseq("info", folder / "features")
    assert "11 videos, 6 real, 5 fake" in store.stdout
    assert "10 ok, 1 decode_error" in store.stdout
    assert "real/broken.mp4: decode_error" in store.stdout
    as_json = json.loads(deepseq("info", folder / "features", "--json").stdout)
    assert (as_json["videos"], as_json["groups"]) == (11, 6)
    run = deepseq("info", folder / "runs" / "one")
    assert "424,801 parameters" in run.stdout and "mean_pool_logistic" in run.stdout
    assert "validated on faces at least 64 pixels wide" in run.stdout
    assert "64 pixels wide" in (folder / "runs" / "one" / "README.md").read_text()
    assert json.loads(deepseq("info", folder / "runs" / "one", "--json").stdout)["decision"]


@pytest.mark.slow
def test_unusable_weights_create_no_store(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.h5").write_bytes(b"no network")
    result = deepseq(
        "extract", folder / "videos", "--out", tmp_path / "store", "--detector", "none",
        "--weights", tmp_path / "wrong.h5",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "wrong.h5 does not contain the weights of InceptionV3" in one_line(result)
    assert not (tmp_path / "store").exists()


def test_other_settings_for_the_same_store_are_refused(
    extracted: dict[str, Any], folder: Path
) -> None:
    result = deepseq(
        "extract", folder / "videos", "--out", folder / "features", *EXTRACT, "--margin", 0.5
    )
    assert result.exit_code == 1
    assert "faces.margin is 0.3 there, 0.5 here" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["extract", "gone.mp4"], 2, "does not exist"),
        (["extract", ".", *EXTRACT], 1, "no videos found"),
        (["extract", ".", "--frames", "0"], 2, "Received: 0"),
        (["fit"], 1, "no feature store in features"),
        (["fit", "--features", "empty"], 1, "it is empty"),
        (["fit", "--features", "one_class"], 1, "2 real and 0 fake"),
        (["fit", "--features", "one_group"], 1, "at least two groups"),
        (["fit", "--epochs", "0"], 2, "Received: 0"),
        (["predict", "clip.txt"], 1, "no run in runs"),
        (["predict", "clip.txt", "--run", "empty"], 1, "no run in empty"),
        (["info", "."], 1, "no feature store in ."),
        (["weights", "fetch", "resnet18"], 2, "no weights called resnet18"),
        (["weights", "import", "retinaface", "clip.txt"], 1, "no ONNX file"),
    ],
)
def test_bad_input_prints_one_line_and_exits_with_its_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.txt").write_text("x")
    write_store(tmp_path / "empty")
    for name, labels in (("one_class", (0, 0)), ("one_group", (0, 1))):
        records = [
            make_record(f"{n}.mp4", label=label, groups=("ann",)) for n, label in enumerate(labels)
        ]
        write_store(tmp_path / name, records)
    before = sorted(tmp_path.rglob("*"))
    result = deepseq(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert one_line(result).startswith("deepseq: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_debug_raises_expected_errors(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        deepseq("--debug", "fit", "--features", tmp_path)


def test_missing_weights_are_listed_with_two_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, row in list(weights.WEIGHTS.items()):
        monkeypatch.setitem(weights.WEIGHTS, name, replace(row, url="http://127.0.0.1:1/x"))
    (tmp_path / "a.mp4").touch()
    result = deepseq("extract", tmp_path, "--out", tmp_path / "features")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert "deepseq: missing weights: retinaface, inception_v3" in lines
    assert "  deepseq weights import retinaface FILE" in lines
    assert lines[-1] == "  --detector mtcnn --weights untrained"
    assert not (tmp_path / "features").exists()


def test_weights_list_prints_the_searched_folders(home: Path) -> None:
    rows = json.loads(deepseq("weights", "list", "--json").stdout)
    assert {row["name"] for row in rows} >= {"inception_v3", "retinaface", "yunet"}
    assert all(row["path"] is None and row["looked_in"] for row in rows)
    assert "missing (searched " in deepseq("weights", "list").stdout


def test_fit_without_groups_warns_of_leaks(tmp_path: Path) -> None:
    store = make_store(tmp_path / "one", clips=20, people=20)
    write_store(tmp_path / "s", (replace(record, groups=()) for record in store))
    result = deepseq("fit", "--features", tmp_path / "s", "--out", tmp_path / "x", "--epochs", 1)
    assert result.exit_code == 0
    assert "No identity groups given" in result.stderr


def test_control_characters_are_escaped(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "runs" / "one", run)
    with edited_description(run) as values:
        values["warnings"] = ["x\n\x1b[2Jclip.mp4: real (score 0.001)"]
    result = deepseq("info", run)
    assert result.exit_code == 0 and "\x1b" not in result.stdout
    assert "x\\n\\x1b[2Jclip.mp4: real" in result.stdout


@pytest.mark.parametrize("harm", ["link", "pipe", "nested"])
def test_info_of_a_run_with_hostile_metrics_is_one_line(
    harm: str, fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "runs" / "one", run)
    metrics = run / "metrics.json"
    metrics.unlink()
    if harm == "link":
        metrics.symlink_to("/dev/zero")
    elif harm == "pipe":
        os.mkfifo(metrics)
    else:
        metrics.write_text("[" * 100_000)
    result = deepseq("info", run)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    assert "metrics.json" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", 2, "--split", "official"], "leave out --split official"),
        (["--seeds", 2, "--test", 0], "needs test clips"),
        (["--balance", "none", "--balance", "alpha"], "cannot be combined with other values"),
        (["--model", "all", "--bidirectional"], "leave out --bidirectional"),
        (["--model", "logistic", "--shuffle-frames"], "no frames to shuffle"),
        (["--model", "dense", "--bidirectional"], "can be bidirectional"),
        (["--model", "dense", "--units", "8"], "only gru and lstm have units"),
        (["--units", "64;32"], "such as 64,32,16. Received: '64;32'"),
    ],
)
def test_contradictory_options_are_wrong_usage(
    options: list[Any], message: str, fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    result = deepseq("fit", "--features", folder / "features", "--out", tmp_path / "x", *options)
    assert result.exit_code == 2 and message in result.stderr, result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["extract", "x", "--workers"], "--workers must be from 1 to 256. Received: 0"),
        (["predict", "x", "--run", "x", "--workers"], "--workers must be from 1 to 256"),
        (["fit", "--members"], "--members must be from 1 to 100. Received: 0"),
        (["sweep", "--members"], "--members must be from 1 to 100"),
        (["finetune", "--input-size"], "--input-size must be from 32 to 1024 pixels. Received: 0"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_zero_does_not_select_the_default(command: list[str], message: str) -> None:
    result = deepseq(*command, 0)
    assert result.exit_code == 2 and message in one_line(result)


def test_a_study_prints_one_json_document_and_creates_no_run(
    extracted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    result = deepseq(
        "fit", "--features", folder / "features", "--out", tmp_path / "x", "--model", "logistic",
        "--folds", 2, "--seeds", 2, "--members", 1, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["models"]["logistic"]["rounds"] == 4 and report["warnings"]
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == [
        "README.md",
        "scores.csv",
        "study.json",
    ]


def test_predict_prints_the_error_rates_under_the_conditions_of_a_clip(
    fitted: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(folder / "runs" / "one", tmp_path / "run"))
    noise = {"face_pixels": 64.0, "sharpness": 0.9, "blockiness": 0.1}
    table = replace(made_up_table(60), conditions=np.tile([*noise.values()], (60 * 12, 1)))
    write_table(run, table)
    clip = folder / "videos" / "real" / "0.mp4"
    _, sentence = deepseq("predict", clip, "--run", run).stdout.splitlines()
    assert sentence.startswith("  Of 30 real clips made to look like this one (64 px face, ")
    (verdict,) = json.loads(deepseq("predict", clip, "--run", run, "--json").stdout)
    matched = verdict["matched"]
    assert list(matched) == [
        *("conditions", "reason", "real", "fake", "ratio", "real_ratio"),
        *("threshold", "band", "decides"),
    ]
    assert set(matched["real"]["rate"]) == {"value", "low", "high"}
    assert verdict["threshold"] == matched["threshold"] and matched["decides"]
    assert verdict["people"][0]["matched"] == matched


def test_predict_compares_a_clip_with_genuine_clips(fitted: dict[str, Any], folder: Path) -> None:
    clip, genuine = folder / "videos" / "real" / "0.mp4", folder / "videos" / "real"
    run = folder / "runs" / "one"
    result = deepseq("predict", clip, "--run", run, "--reference", genuine)
    assert "  Not compared with genuine clips of the person: 4 of 4 were recorded" in result.stdout
    document = deepseq("predict", clip, "--run", run, "--reference", genuine, "--json").stdout
    (verdict,) = json.loads(document)
    assert verdict["reference"]["clips"] == 4 and verdict["reference"]["score_p"] is None
    line = deepseq("predict", clip, "--run", run, "--reference", genuine, "--jsonl").stdout
    assert json.loads(line)["reference"] == verdict["reference"]
