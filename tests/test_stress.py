"""`deepseq stress`: a run on distorted clips."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from conditions import made_up_table
from stressing import colour_cnn, faces_run

from deepfake_seq import stress
from deepfake_seq.config import ExecutionConfig, StressConfig
from deepfake_seq.errors import RunError, StoreError
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.reports import robustness
from deepfake_seq.sequence.runs import condition_table
from deepfake_seq.stress import StressClip, sample_by_group

FEW = ("field",)
ONE_WORKER = ExecutionConfig(workers=1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a store and a run that was tested on a few clips."""
    store, run = faces_run(tmp_path_factory.mktemp("stress"), clips=20)
    stressed(run, store)
    return store, run


@pytest.fixture
def run(fitted: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted[1], tmp_path / "run"))


@pytest.fixture
def store(fitted: tuple[Path, Path]) -> Path:
    return fitted[0]


def stressed(run: Path, store: Path, **changes: Any) -> stress.StressTest:
    config = StressConfig(**{"clips": 4, "suites": FEW, **changes})
    test = stress.prepare(run, store, config)
    with colour_cnn():
        stress.compute(test, ONE_WORKER)
    return test


def by_name(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {result["name"]: result for result in results}


def test_an_unchanged_clip_has_the_score_of_the_network_that_held_it_out(
    run: Path, store: Path
) -> None:
    test = stressed(run, store)
    stored = predictions.read(run / predictions.NAME)
    known = dict(zip(stored.keys, stored.scores.tolist(), strict=True))
    for clip in test.clips:
        score = test.scores.get(clip.key, "none")
        assert score is not None and score.logit is not None
        again = float(test.model.calibration.apply(np.array([score.logit]))[0])
        assert again == pytest.approx(known[clip.key], abs=1e-4)
    members = {clip.member for clip in test.clips if clip.split == "validation"}
    assert members == {0, 1}
    assert {clip.member for clip in test.clips if clip.split == "test"} == {None}


@pytest.mark.slow
def test_a_run_with_evidence_blocks_is_tested_on_the_blocks_of_the_distorted_clips(
    tmp_path: Path,
) -> None:
    store, run = faces_run(tmp_path, clips=20, evidence=("ela",))
    test = stressed(run, store)
    assert test.model.blocks.keys() == {"features", "ela"}
    stored = predictions.read(run / predictions.NAME)
    known = dict(zip(stored.keys, stored.scores.tolist(), strict=True))
    for clip in test.clips:
        unchanged, coded = (test.scores.get(clip.key, name) for name in ("none", "jpeg 30"))
        assert unchanged and coded and unchanged.logit is not None
        again = float(test.model.calibration.apply(np.array([unchanged.logit]))[0])
        assert again == pytest.approx(known[clip.key], abs=1e-4)
        assert coded.logit != unchanged.logit


def test_validation_and_test_clips_are_reported_apart(run: Path, store: Path) -> None:
    results = stress.results(stressed(run, store))
    assert list(results) == ["validation", "test"]
    unchanged = results["validation"][0]
    assert unchanged["name"] == "none" and unchanged["flips"] == 0
    for split in results.values():
        for result in split:
            assert set(result["intervals"]) == {"auc", "fpr", "tpr", "flips", "inconclusive"}


@pytest.mark.slow
def test_a_distortion_that_removes_the_sign_of_a_fake_lowers_the_auc(
    run: Path, store: Path
) -> None:
    results = by_name(
        stress.results(stressed(run, store, clips=2, suites=("deeperforensics",)))["validation"]
    )
    assert results["none"]["auc"] > 0.95, "fakes are reddish"
    assert results["saturation 0"]["auc"] < results["none"]["auc"]
    assert results["saturation 0"]["flips"] > 0


def test_a_face_is_never_enlarged(run: Path, store: Path) -> None:
    names = by_name(stress.results(stressed(run, store))["validation"])
    assert "face_pixels 160" not in names, "all faces are smaller"
    assert "half_rate" in names


@pytest.mark.slow
def test_an_interrupted_test_is_resumed(run: Path, store: Path) -> None:
    shutil.rmtree(run / robustness.FOLDER)
    test = stress.prepare(run, store, StressConfig(4, FEW))
    steps = []

    def stop(name: str) -> None:
        steps.append(name)
        if len(steps) == 7:
            raise KeyboardInterrupt

    with colour_cnn(), pytest.raises(KeyboardInterrupt):
        stress.compute(test, ONE_WORKER, stop)
    path = run / robustness.FOLDER / stress.SCORES
    path.write_text(path.read_text() + '{"key": "cut off')
    again = stress.prepare(run, store, StressConfig(4, FEW))
    assert len(again.missing) == len(again.steps) - 7
    with colour_cnn() as cnn:
        stress.compute(again, ONE_WORKER)
        stress.compute(stress.prepare(run, store, StressConfig(4, FEW)), ONE_WORKER)
    assert cnn.crops <= 8 * (len(again.steps) - 7), "nothing is computed twice"
    assert stress.results(again) == stress.results(stressed(run, store))


def test_results_of_another_model_are_not_reused(run: Path, store: Path) -> None:
    path = run / robustness.FOLDER / stress.SCORES
    lines = path.read_text().splitlines()
    header = json.loads(lines[0]) | {"fingerprint": "another"}
    path.write_text("\n".join([json.dumps(header), *lines[1:]]))
    test = stress.prepare(run, store, StressConfig(4, FEW))
    assert len(test.missing) == len(test.steps)


def test_a_sample_has_whole_groups_of_both_classes() -> None:
    clips = [
        StressClip(f"{n}", f"{n}", int(n % 4 == 0), (f"person{n // 2}",), "validation", 0)
        for n in range(80)
    ]
    sample = sample_by_group(clips, 20, seed=0)
    assert len(sample) == 20
    people = [clip.groups[0] for clip in sample]
    assert all(people.count(person) == 2 for person in people)
    assert 3 <= sum(clip.label for clip in sample) <= 7
    assert sample_by_group(clips, 20, seed=0) == sample
    assert sample_by_group(clips, 20, seed=1) != sample
    assert sample_by_group(clips, 100, seed=0) == clips


def test_a_run_that_does_not_say_who_held_out_a_clip_is_refused(run: Path, store: Path) -> None:
    path = run / "model.json"
    description = json.loads(path.read_text())
    del description["training"]["held_out"]
    path.write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"earlier version. Train it again"):
        stress.prepare(run, store, StressConfig())


def test_a_store_without_faces_is_refused(run: Path, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "bare", ignore=shutil.ignore_patterns("faces"))
    with pytest.raises(StoreError, match="--keep-faces"):
        stress.prepare(run, tmp_path / "bare", StressConfig())


def test_two_processes_do_not_test_a_run_at_the_same_time(run: Path, store: Path) -> None:
    with stress.locked(run):
        result = deepseq("stress", str(run), "--features", str(store), "--clips", "4")
    assert result.exit_code == 2
    assert "another `deepseq stress` is testing" in result.stderr


def test_no_folder_is_created_where_there_is_no_run(tmp_path: Path, store: Path) -> None:
    result = deepseq("stress", str(tmp_path / "none"), "--features", str(store))
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])


def test_the_command_writes_table_plot_and_page(run: Path, store: Path) -> None:
    with colour_cnn():
        result = deepseq(
            *("stress", run, "--features", store, "--suite", "field", "--workers", "1"),
            *("--clips", "4"),
        )
        assert result.exit_code == 0, result.stderr
        assert "validation clips at the threshold" in result.stdout and "jpeg 30" in result.stdout
        again = deepseq(
            "stress", run, "--features", store, "--suite", "field", "--clips", "4", "--json"
        )
    values = json.loads(again.stdout)
    assert set(values["results"]) == {"validation", "test"}
    folder = run / "stress"
    rows = list(csv.DictReader((folder / "stress.csv").read_text().splitlines()))
    assert {row["split"] for row in rows} == {"validation", "test"}
    assert (folder / "stress.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "stress.html").read_text()
    assert "<script" not in page and "Flips" in page
    assert deepseq("evaluate", run, "--features", store).exit_code == 0
    assert 'href="stress/stress.html"' in (run / "report.html").read_text()


def test_the_grid_leaves_a_table_of_validation_clips_in_the_run(run: Path, store: Path) -> None:
    test = stressed(run, store, suites=("grid",))
    assert list(stress.write_table(test)) == ["conditions"]
    table = condition_table.read_table(run)
    assert table is not None
    validation = [clip for clip in test.clips if clip.split == "validation"]
    assert table.labels.tolist() == [clip.label for clip in validation]
    assert len(table.clip) > len(validation), "several versions of each"
    assert not table.decides, "of few people"
    names = by_name(stress.results(test)["validation"])
    assert "jpeg 30" in names, "the suite that was tested before is reported too"
    assert not any(name.startswith("grid") for name in names)


@pytest.mark.parametrize("name", ["clip", "scores", "conditions", "labels"])
def test_a_damaged_table_is_refused(name: str, tmp_path: Path) -> None:
    table = made_up_table(10)
    condition_table.write_table(tmp_path, table)
    assert condition_table.read_table(tmp_path) is not None
    damaged = getattr(table, name) * 1.0
    damaged[0] = 77.0 if name != "conditions" else -1.0
    condition_table.write_table(tmp_path, replace(table, **{name: damaged}))
    with pytest.raises(RunError, match=r"conditions\.safetensors.*deepseq stress"):
        condition_table.read_table(tmp_path)


def test_a_run_without_a_table_has_none(tmp_path: Path) -> None:
    assert condition_table.read_table(tmp_path) is None
