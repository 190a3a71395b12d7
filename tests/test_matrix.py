"""`deepseq matrix`: runs on stores that they were not trained on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from calling import deepseq
from records import DESCRIPTION, make_record, write_store

from deepfake_seq.config import ModelConfig, SplitConfig
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.runs.transfer import holm
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    StoreDescription,
    StoreWriter,
)


def clips(name: str, shift: float = 0.8, count: int = 60) -> list[FeatureRecord]:
    """Make clips of a data set; every other one is fake, and each person has two clips."""
    return [
        make_record(
            f"{name}{number:03}.mp4",
            seed=sum(map(ord, name)) * 1000 + number,
            shift=shift * (number % 2),
            label=number % 2,
            groups=(f"{name} person{number % (count // 2)}",),
            facts={"frames_sampled": 16, "method": ("", "FaceSwap", "", "Face2Face")[number % 4]},
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets, and a run on each."""
    folder = tmp_path_factory.mktemp("matrix")
    config = ExperimentConfig(model=ModelConfig("logistic"))
    for name, shift in (("one", 0.8), ("two", 0.4)):
        store = write_store(folder / name, clips(name, shift))
        fit(load_experiment(store, SplitConfig()), folder / f"on-{name}", config)
    return folder


def matrix(folder: Path, runs: list[str], stores: list[str], out: Path) -> dict[str, Any]:
    options = [word for name in stores for word in ("--features", folder / name)]
    result = deepseq("matrix", *(folder / name for name in runs), *options, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def test_each_run_is_evaluated_on_each_store(folder: Path, tmp_path: Path) -> None:
    values = matrix(folder, ["on-one", "on-two"], ["one", "two"], tmp_path / "out")
    cells = {(cell["run"], cell["store"]): cell for cell in values["cells"]}
    assert [cell["own"] for cell in cells.values()] == [True, False, False, True]
    foreign = cells["on-one", "two"]["metrics"]
    assert foreign["clips"] == {"real": 30, "fake": 30}, "all clips of the other store"
    assert sum(cells["on-one", "one"]["metrics"]["clips"].values()) < 30, "test clips only"
    for cell in cells.values():
        metrics = cell["metrics"]
        for key in ("auc", "tpr", "fpr"):
            low, high = metrics["intervals"][key] or (metrics[key],) * 2
            assert low <= metrics[key] <= high
        assert {method["name"] for method in cell["methods"]} == {"FaceSwap", "Face2Face"}


def test_a_store_that_shares_an_identity_with_a_run_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    known = make_record("new.mp4", label=1, groups=("one person3",))
    store = write_store(folder / f"shared-{tmp_path.name}", [*clips("three"), known])
    values = matrix(folder, ["on-one", "on-two"], [store.path.name], tmp_path / "out")
    refused, allowed = values["cells"]
    assert refused["metrics"] is None and "new.mp4" in refused["refused"]
    assert allowed["refused"] is None and allowed["metrics"]["auc"] is not None


def test_a_store_that_shares_a_video_with_a_run_is_refused(folder: Path, tmp_path: Path) -> None:
    with FeatureStore.open(folder / "one") as one:
        video = one[one.video_ids[0]]
    copy = make_record("renamed.mp4", label=video.label, source=video.source)
    store = write_store(folder / f"copied-{tmp_path.name}", [*clips("four"), copy])
    (cell,) = matrix(folder, ["on-one"], [store.path.name], tmp_path / "out")["cells"]
    assert "renamed.mp4" in cell["refused"]


def test_a_store_of_other_features_is_refused(folder: Path, tmp_path: Path) -> None:
    fields = {**DESCRIPTION.fingerprint.fields, "backbone": {"name": "vgg16"}}
    other = StoreDescription(Fingerprint(fields), DESCRIPTION.extract_config)
    with StoreWriter.create(folder / f"other-{tmp_path.name}", other) as writer:
        for record in clips("five"):
            writer.commit(record)
    (cell,) = matrix(folder, ["on-one"], [f"other-{tmp_path.name}"], tmp_path / "out")["cells"]
    assert "backbone.name" in cell["refused"]


def test_runs_are_compared_on_their_common_clips(folder: Path, tmp_path: Path) -> None:
    store = write_store(folder / f"third-{tmp_path.name}", clips("six"))
    values = matrix(folder, ["on-one", "on-two"], [store.path.name], tmp_path / "out")
    (test,) = values["tests"]
    assert test["clips"] == 60 and test["corrected"] == test["p_value"], "a single test"
    first, other = (cell["metrics"]["auc"] for cell in values["cells"])
    assert test["difference"] == pytest.approx(other - first)


def test_the_files_are_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    values = matrix(folder, ["on-one", "on-two"], ["one", "two"], out)
    assert set(values["files"]) == {"results", "table", "plot", "report"}
    rows = list(csv.DictReader((out / "matrix.csv").read_text().splitlines()))
    assert len(rows) == 4 * (1 + 2), "a row for each cell and method"
    assert (out / "matrix.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "matrix.html").read_text()
    assert "Holm" in page and "<script" not in page


def test_holms_correction() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [0.03, None, 0.06, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
