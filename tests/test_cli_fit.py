"""Options of `deepseq fit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from records import make_record, make_store, write_store

from deepfake_seq.store import FeatureStore


@pytest.fixture(scope="module")
def wide_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store with as many features as InceptionV3 has."""
    return make_store(tmp_path_factory.mktemp("stores") / "store", clips=20, width=2048)


def fit(store: FeatureStore, folder: Path, *options: object) -> dict[str, Any]:
    quick = ("--epochs", 1, "--members", 1)
    result = deepseq("fit", "--features", store.path, "--out", folder, *quick, "--json", *options)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_paper_trains_the_network_of_the_paper(wide_store: FeatureStore, tmp_path: Path) -> None:
    gru = fit(wide_store, tmp_path / "gru", "--paper")
    assert gru["parameters"] == {"total": 418_657, "trainable": 418_465}
    bigru = fit(wide_store, tmp_path / "bigru", "--paper", "--bidirectional")
    assert bigru["parameters"] == {"total": 852_609, "trainable": 852_225}
    recipe = json.loads((tmp_path / "gru" / "model.json").read_text())["recipe"]
    assert not recipe["model"]["wide"]
    assert recipe["train"]["input_noise"] == recipe["train"]["input_dropout"] == 0


def test_paper_refuses_options_that_change_its_network(tmp_path: Path) -> None:
    for option in (["--wide"], ["--input-noise", "0.5"], ["--input-dropout", "0.1"]):
        result = deepseq("fit", "--paper", *option)
        assert result.exit_code == 2
        assert f"--paper cannot be combined with {option[0]}" in result.stderr


def test_the_wide_part_can_be_left_out(wide_store: FeatureStore, tmp_path: Path) -> None:
    wide = fit(wide_store, tmp_path / "wide")["parameters"]["total"]
    narrow = fit(wide_store, tmp_path / "narrow", "--no-wide")["parameters"]["total"]
    assert wide - narrow == 3 * 2048


def test_fit_reports_how_well_each_block_predicts_size_and_compression(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    records = [
        make_record(
            f"{number}.mp4",
            seed=number,
            label=number % 2,
            groups=(f"p{number // 2}",),
            evidence={"depths": 4},
            facts={"evidence": {"depths": {}}, "width": int(generator.choice([640, 1280]))},
        )
        for number in range(40)
    ]
    store = write_store(tmp_path / "store", records)
    values = fit(store, tmp_path / "run")
    assert set(values["block_r2"]) == {"features", "depths"}
    assert values["block_r2"]["depths"]["width"] < 0.5
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["block_r2"] == values["block_r2"]
    assert "| R² of each block alone | " in (tmp_path / "run" / "README.md").read_text()
    quick = ("--epochs", 1, "--members", 1, "--out", tmp_path / "other")
    assert "R² of each block alone" in deepseq("fit", "--features", store.path, *quick).stdout


def test_a_block_that_the_clips_lack_is_an_error_that_says_what_to_do(
    wide_store: FeatureStore, tmp_path: Path
) -> None:
    arguments = ("fit", "--features", wide_store.path, "--out", tmp_path / "x", "--evidence")
    result = deepseq(*arguments, "features,depths")
    assert result.exit_code == 1
    assert "lacks evidence blocks that --evidence names" in result.stderr
    assert "deepseq extract --evidence" in result.stderr
    assert "Received: features,depths; the clip has features" in result.stderr
    assert deepseq(*arguments, "features,features").exit_code == 2
