"""Tests of the commands for cached faces and finetuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from clips import write_images

from deepfake_seq.store import FeatureStore

pytestmark = pytest.mark.usefixtures("tiny_cnn")

EXTRACT = ["--detector", "none", "--frames", "8", "--workers", "1", "--weights", "untrained"]
TUNE = [
    *("--backbone", "vgg16", "--weights", "untrained", "--input-size", "32"),
    *("--head-epochs", "1", "--epochs", "1", "--unfreeze", "2", "--batch-size", "16"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of different people, with their InceptionV3 features and faces."""
    folder = tmp_path_factory.mktemp("cli")
    for number in range(12):
        label = ("real", "fake")[number % 2]
        generator = np.random.default_rng(number)
        shade = 60 + 100 * (number % 2)
        images = [
            np.asarray(generator.integers(shade, shade + 60, (48, 64, 3)), dtype=np.uint8)
            for _ in range(10)
        ]
        path = folder / "videos" / label / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_images(path, images)
    result = deepseq(
        "extract", folder / "videos", "--out", folder / "features", "--keep-faces", *EXTRACT,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["faces"] == str(folder / "features" / "faces")
    return folder


@pytest.fixture(scope="module")
def finetuned(folder: Path) -> dict[str, Any]:
    """JSON document of the finetuning."""
    result = deepseq(
        "finetune", "--faces", folder / "features", "--out", folder / "runs" / "cnn", *TUNE,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert f"with the same command and --out {folder / 'runs' / 'cnn'}" in result.stderr
    return dict(json.loads(result.stdout))


def same_features(one: Path, other: Path) -> bool:
    first, second = FeatureStore.open(one), FeatureStore.open(other)
    assert first.fingerprint.id == second.fingerprint.id
    assert len(first) == len(second) > 0
    assert all(first[name].features.any() for name in first.video_ids)
    return all(
        np.array_equal(first[name].features, second[name].features) for name in first.video_ids
    )


def test_features_from_cached_faces_equal_those_from_videos(folder: Path, tmp_path: Path) -> None:
    result = deepseq(
        "extract", "--from-faces", folder / "features", "--weights", "untrained",
        "--out", tmp_path / "again",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert same_features(folder / "features", tmp_path / "again")


@pytest.mark.slow
def test_a_store_with_faces_keeps_getting_faces(folder: Path, tmp_path: Path) -> None:
    first, *others = sorted((folder / "videos" / "real").iterdir())
    out = ("--out", tmp_path / "features", *EXTRACT, "--backbone", "vgg16")
    deepseq("extract", first, *out, "--keep-faces", "--face-format", "png")
    result = deepseq("extract", first, others[0], *out)
    assert "faces: faces of 2 videos" in result.stdout
    described = json.loads(deepseq("info", tmp_path / "features" / "faces", "--json").stdout)
    assert described["images"]["format"] == "png"
    refused = deepseq("extract", first, *out, "--face-format", "webp")
    assert refused.exit_code == 2
    assert "contains png crops" in refused.stderr


def test_info_describes_a_finetuned_run(folder: Path, finetuned: dict[str, Any]) -> None:
    assert finetuned["model"] == "vgg16-dense"
    assert finetuned["views"] == {"real": 0, "fake": 0}
    assert set(finetuned["baselines"]) == {"majority", "mean_pool_logistic"}
    output = deepseq("info", folder / "runs" / "cnn").stdout
    assert "model        vgg16-dense, 238,985 parameters" in output


@pytest.mark.slow
def test_a_finetuned_run_predicts(folder: Path, finetuned: dict[str, Any]) -> None:
    clip = folder / "videos" / "fake" / "1.mp4"
    result = deepseq("predict", clip, "--run", finetuned["run"], "--json", "--workers", "1")
    assert result.exit_code in (0, 4)
    (verdict,) = json.loads(result.stdout)
    assert (verdict["frames_used"], verdict["run"]) == (8, finetuned["run"])


@pytest.mark.slow
def test_the_cnn_of_a_run_makes_features_for_a_gru_on_the_same_split(
    folder: Path, finetuned: dict[str, Any], tmp_path: Path
) -> None:
    extracted = deepseq(
        "extract", "--from-faces", folder / "features", "--weights", finetuned["run"],
        "--out", tmp_path / "tuned",
    )  # fmt: skip
    assert extracted.exit_code == 0, extracted.stderr
    direct = deepseq(
        "extract", folder / "videos", *EXTRACT[:-1], finetuned["run"], "--out", tmp_path / "direct"
    )
    assert direct.exit_code == 0, direct.stderr
    assert same_features(tmp_path / "tuned", tmp_path / "direct")
    fitted = deepseq(
        "fit", "--features", tmp_path / "tuned", "--out", tmp_path / "gru", "--epochs", 2, "--json"
    )
    assert fitted.exit_code == 0, fitted.stderr
    assert "the split of its run is used" in fitted.stderr
    assert json.loads(fitted.stdout)["split"] == finetuned["split"]
    refused = deepseq("fit", "--features", tmp_path / "tuned", "--folds", 3)
    assert refused.exit_code == 1
    assert "finetuned on" in refused.stderr
    evaluated = deepseq("evaluate", finetuned["run"], "--features", tmp_path / "tuned")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert "test: vgg16-dense" in evaluated.stdout
    assert (Path(finetuned["run"]) / "report.html").is_file()


def test_a_folder_named_untrained_is_not_used_as_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "untrained").mkdir()
    monkeypatch.chdir(tmp_path)
    clip = folder / "videos" / "real" / "0.mp4"
    assert deepseq("extract", clip, *EXTRACT, "--backbone", "vgg16").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["finetune", "--faces", "gone"], 1, "gone"),
        (["finetune", "--faces", "bare"], 1, "--keep-faces"),
        (["finetune", "--faces", "features", "--unfreeze", "some"], 2, "Received: some"),
        (["finetune", "--faces", "features", "--unfreeze", "0"], 2, "or all. Received: 0"),
        (["finetune", "--faces", "features", "--input-size", "16"], 2, "from 32 to 1024"),
        (
            ["finetune", "--faces", "features", "--weights", "untrained", "--input-size", "64"],
            2,
            "at least 75 pixels",
        ),
        (["finetune", "--faces", "features", "--weights", "gone.h5"], 2, "no such weights file"),
        (
            ["finetune", "--faces", "features", "--weights", "runs/cnn/backbone.safetensors"],
            2,
            "cannot start from a finetuned CNN",
        ),
        (
            ["finetune", "--faces", "features", "--weights", "untrained", "--self-blend", "1"],
            2,
            "needs a face detector",
        ),
        (["extract"], 2, "no PATH"),
        (["extract", "--from-faces", "features", "videos"], 2, "leave out PATH"),
        (["extract", "--from-faces", "features", "--margin", "0.5"], 2, "leave out --margin"),
        (["extract", "--from-faces", "bare"], 1, "--keep-faces"),
        (["extract", "videos", "--weights", "videos"], 1, "no run in"),
        (
            ["extract", "videos", "--weights", "runs/cnn", "--backbone", "resnet50"],
            2,
            "finetuned vgg16",
        ),
        (["extract", "videos", "--weights", "runs/cnn/x.safetensors"], 2, "inside the run"),
    ],
)
def test_wrong_input_prints_one_line_and_exits_with_its_code(
    arguments: list[str],
    code: int,
    message: str,
    folder: Path,
    finetuned: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    if not (folder / "bare").exists():
        clip = folder / "videos" / "real" / "0.mp4"
        deepseq("extract", clip, *EXTRACT, "--backbone", "vgg16", "--out", "bare")
    result = deepseq(*arguments)
    line, *hint = result.stderr.splitlines()
    assert result.exit_code == code and len(hint) == (code == 2)
    assert line.startswith("deepseq: ") and message in line
