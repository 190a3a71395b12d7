"""`deepseq evaluate` and `deepseq compare`."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from clips import ClipStyle, write_clip
from records import DESCRIPTION, make_record, write_store

from deepfake_seq.config import ModelConfig, SplitConfig
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    SourceFile,
    StoreDescription,
    StoreWriter,
)

HOSTILE = '"><img src=//x onerror=alert(1)>.mp4'


def clip(number: int, name: str = "", content: str = "", **changes: Any) -> FeatureRecord:
    """Make a clip; every other one is fake, and each person has two clips."""
    content = content or f"{number}"
    values = {
        "seed": number,
        "shift": 0.4 * (number % 2),
        "label": number % 2,
        "groups": (f"person{number % 30}",),
        "source": SourceFile(1000, 1, hashlib.sha256(content.encode()).hexdigest()),
        "facts": {"frames_sampled": 16, "method": ("", "FaceSwap", "", "Face2Face")[number % 4]},
    }
    return make_record(name or f"{number:03}.mp4", **{**values, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("evaluate") / "store"
    return write_store(folder, (clip(number) for number in range(90)))


@pytest.fixture(scope="module")
def fitted(store: FeatureStore) -> Path:
    folder = store.path.parent / "fitted"
    config = ExperimentConfig(model=ModelConfig("logistic"))
    fit(load_experiment(store, SplitConfig()), folder, config)
    return folder


@pytest.fixture
def run(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def names(run: Path, split_name: str) -> list[str]:
    return list(json.loads((run / "split.json").read_text())[split_name])


def evaluated(*arguments: object) -> dict[str, Any]:
    result = deepseq("evaluate", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def unseen_clips(count: int = 20, **changes: Any) -> list[FeatureRecord]:
    """Make clips of people that are not in the run."""
    return [
        clip(1000 + n, f"new/{n}.mp4", groups=(f"stranger{n // 2}",), **changes)
        for n in range(count)
    ]


def test_evaluating_on_the_test_clips_of_the_run_repeats_its_metrics(
    run: Path, store: FeatureStore
) -> None:
    before = json.loads((run / "metrics.json").read_text())
    printed = evaluated(run, "--features", store.path)
    after = json.loads((run / "metrics.json").read_text())
    assert before.items() <= {**after, "unseen": None}.items()
    assert after["unseen"] is None
    assert printed["test"] == before["test"]
    assert printed["files"] == {
        "metrics": str(run / "metrics.json"),
        "report": str(run / "report.html"),
    }
    assert (run / "report.html").is_file()


def test_the_report_loads_nothing_from_outside(run: Path, store: FeatureStore) -> None:
    deepseq("evaluate", run, "--features", store.path)
    page = (run / "report.html").read_text()
    assert not re.findall(r"https?://|url\(|<link|<script|@import", page)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', page))
    for wanted in ("FaceSwap", "Face2Face", "mean_pool_logistic", "By person", "Model card"):
        assert wanted in page


def test_the_report_uses_the_title_of_the_run(run: Path, store: FeatureStore) -> None:
    values = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**values, "title": "inception_v3-<dense>"}))
    result = deepseq("evaluate", run, "--features", store.path)
    assert "test: inception_v3-<dense>" in result.stdout
    assert "<h1>inception_v3-&lt;dense&gt; on store</h1>" in (run / "report.html").read_text()
    assert "inception_v3-<dense>" in deepseq("compare", run, run).stdout


def test_the_warnings_come_first(run: Path, store: FeatureStore) -> None:
    deepseq("evaluate", run, "--features", store.path)
    page = (run / "report.html").read_text()
    warning = json.loads((run / "model.json").read_text())["warnings"][0]
    assert unescape(page).index(warning) < page.index("<h2>")


def test_unseen_clips_are_evaluated_into_a_separate_folder(run: Path, tmp_path: Path) -> None:
    before = (run / "metrics.json").read_bytes()
    new = write_store(tmp_path / "new", unseen_clips())
    values = evaluated(run, "--features", new.path)
    assert values["clips"]["unseen"] == {"real": 10, "fake": 10}
    assert values["unseen"]["auc"] > 0.8
    assert values["test"] is None and values["baselines"] == {}
    assert (run / "evaluations" / "new" / "report.html").is_file()
    assert (run / "metrics.json").read_bytes() == before


def test_a_renamed_training_clip_is_not_unseen(run: Path, tmp_path: Path) -> None:
    trained = int(names(run, "train")[0].removesuffix(".mp4"))
    renamed = clip(trained, "innocent.mp4", groups=())
    values = evaluated(
        run, "--features", write_store(tmp_path / "new", [renamed, *unseen_clips(4)]).path
    )
    assert sum(values["clips"]["unseen"].values()) == 4
    assert sum(values["clips"]["train"].values()) == 1


def test_clips_of_people_in_training_are_not_evaluated(run: Path, tmp_path: Path) -> None:
    person = int(names(run, "train")[0].removesuffix(".mp4")) % 30
    known = clip(5000, "other/known.mp4", groups=(f"person{person}",))
    store = write_store(tmp_path / "new", [known, *unseen_clips(4)])
    result = deepseq("evaluate", run, "--features", store.path)
    assert "4 unseen, 1 related" in result.stdout
    assert "Not evaluated: clips that share a person or source" in result.stderr


def test_unseen_clips_without_groups_give_a_warning(run: Path, tmp_path: Path) -> None:
    nameless = [replace(record, groups=()) for record in unseen_clips(4)]
    store = write_store(tmp_path / "new", nameless)
    assert (
        "Unseen clips without an identity group (column `group` in --labels): 4"
        in deepseq("evaluate", run, "--features", store.path).stderr
    )


def test_unusable_clips_are_counted(run: Path, tmp_path: Path) -> None:
    odd = [clip(7, "odd/a.mp4", label=-1), clip(9, "odd/b.mp4", valid=0)]
    store = write_store(tmp_path / "new", [*odd, *unseen_clips(4)])
    values = evaluated(run, "--features", store.path)
    assert values["excluded"] == {"without a label": 1, "failed (no_face)": 1}


def test_a_store_with_another_fingerprint_is_refused_with_the_differences(
    run: Path, tmp_path: Path
) -> None:
    fields = {"faces": {"detector": "mtcnn", "margin": 0.3}, "versions": {"av": "18"}}
    description = StoreDescription(Fingerprint(fields), DESCRIPTION.extract_config)
    with StoreWriter.create(tmp_path / "other", description) as writer:
        writer.claim("")
        writer.commit(clip(1))
    result = deepseq("evaluate", run, "--features", tmp_path / "other")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "faces.detector is none there, mtcnn here" in line
    assert "margin" not in line
    assert not (run / "report.html").exists()


def test_a_store_with_training_people_only_is_refused(run: Path, tmp_path: Path) -> None:
    person = int(names(run, "train")[0].removesuffix(".mp4")) % 30
    related = clip(5000, "known.mp4", groups=(f"person{person}",))
    result = deepseq("evaluate", run, "--features", write_store(tmp_path / "few", [related]).path)
    assert result.exit_code == 1
    assert "no clips to evaluate" in result.stderr
    assert not (run / "evaluations").exists()


def test_metrics_of_some_test_clips_do_not_overwrite_those_of_all(
    run: Path, tmp_path: Path
) -> None:
    half = names(run, "test")[::2]
    store = write_store(tmp_path / "half", [clip(int(name.removesuffix(".mp4"))) for name in half])
    result = deepseq("evaluate", run, "--features", store.path, "--out", run)
    assert result.exit_code == 2 and "lacks test clips" in result.stderr
    values = evaluated(run, "--features", store.path)
    assert sum(values["clips"]["test"].values()) == len(half)
    assert values["baselines"] == {}


@pytest.mark.parametrize("name", ["evaluations", "evaluations/new"])
def test_nothing_is_written_through_a_link(name: str, run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = run / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    write_store(tmp_path / "new", unseen_clips())
    result = deepseq("evaluate", run, "--features", tmp_path / "new")
    assert result.exit_code == 1 and "is reached by a link" in result.stderr
    assert not list(outside.iterdir())


def test_another_run_is_not_overwritten(run: Path, fitted: Path, store: FeatureStore) -> None:
    result = deepseq("evaluate", run, "--features", store.path, "--out", fitted)
    assert result.exit_code == 2 and "another run" in result.stderr
    assert not (fitted / "report.html").exists()


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv", "split.json", "README.md"])
def test_a_run_with_a_missing_file_is_refused_in_one_line(
    run: Path, store: FeatureStore, name: str
) -> None:
    (run / name).unlink()
    result = deepseq("evaluate", run, "--features", store.path)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert name in line


@pytest.mark.parametrize("field", ["warnings", "training", "split", "created"])
def test_an_altered_run_is_refused_in_one_line(run: Path, store: FeatureStore, field: str) -> None:
    values = json.loads((run / "model.json").read_text())
    del values[field]
    (run / "model.json").write_text(json.dumps(values))
    result = deepseq("evaluate", run, "--features", store.path)
    assert result.exit_code == 1
    assert "damaged" in result.stderr and field in result.stderr


@pytest.fixture
def mistaken(run: Path, tmp_path: Path) -> Path:
    """Store with four fakes that score as real, and the videos of the first two."""
    videos = tmp_path / "videos"
    (videos / "new").mkdir(parents=True)
    wrong = []
    for number, name in enumerate(("new/shown.mp4", "new/changed.mp4", "new/gone.mp4", HOSTILE)):
        digest = "ab" * 32
        if number < 2:
            write_clip(videos / name, 60, ClipStyle(size=(160, 128)))
            digest = hashlib.sha256((videos / name).read_bytes()).hexdigest()
        record = clip(2001 + 2 * number, name, groups=(f"x{number}",), shift=-2.0)
        wrong.append(replace(record, source=SourceFile(1, 1, digest)))
    with (videos / "new/changed.mp4").open("ab") as file:
        file.write(b"more")
    return write_store(tmp_path / "new", [*wrong, *unseen_clips(10)]).path


def test_the_report_shows_frames_of_the_worst_mistakes(
    run: Path, mistaken: Path, tmp_path: Path
) -> None:
    deepseq("evaluate", run, "--features", mistaken, "--videos", tmp_path / "videos")
    page = (run / "evaluations" / "new" / "report.html").read_text()
    assert page.count("data:image/jpeg") == 1
    (caption,) = re.findall(r'data:image/jpeg[^>]*alt="([^"]*)"', page)
    assert caption.startswith("new/shown.mp4 is fake but classified as real")
    said = unescape(page)
    assert "new/changed.mp4 is fake but classified as real" in said
    assert "Not shown: the features were made from another version of the video." in said
    assert "Not shown: the video cannot be read: No such file or directory." in said
    assert str(tmp_path) not in page


def test_without_videos_the_report_names_the_option(run: Path, mistaken: Path) -> None:
    deepseq("evaluate", run, "--features", mistaken)
    page = (run / "evaluations" / "new" / "report.html").read_text()
    assert "data:image/jpeg" not in page
    assert page.count("with --videos") == 1


def test_a_hostile_name_is_escaped(run: Path, mistaken: Path) -> None:
    deepseq("evaluate", run, "--features", mistaken)
    page = (run / "evaluations" / "new" / "report.html").read_text()
    assert HOSTILE in unescape(page)
    assert "onerror=alert(1)>" not in page


def test_a_name_outside_the_folder_of_videos_is_refused(run: Path, tmp_path: Path) -> None:
    outside = write_clip(tmp_path / "outside.mp4", 60)
    (tmp_path / "videos").mkdir()
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    wrong = [
        replace(clip(2001, name, groups=(name,), shift=-2.0), source=SourceFile(1, 1, digest))
        for name in ("../outside.mp4",)
    ]
    store = write_store(tmp_path / "new", [*wrong, *unseen_clips(10)])
    deepseq("evaluate", run, "--features", store.path, "--videos", tmp_path / "videos")
    page = (run / "evaluations" / "new" / "report.html").read_text()
    assert "its name points outside the folder" in page
    assert "data:image/jpeg" not in page


@pytest.fixture
def rival(run: Path, tmp_path: Path) -> Path:
    """Copy of the run with random scores."""
    folder = Path(shutil.copytree(run, tmp_path / "rival"))
    header, *lines = (folder / "predictions.csv").read_text().splitlines()
    guesses = np.random.default_rng(0).random(len(lines))
    cells = [line.split(",") for line in lines]
    guessed = [
        ",".join([*row[:3], str(guess), *row[4:]])
        for row, guess in zip(cells, guesses, strict=True)
    ]
    (folder / "predictions.csv").write_text("\n".join([header, *guessed]) + "\n")
    return folder


def test_compare_prints_a_row_for_each_run(run: Path, rival: Path) -> None:
    result = deepseq("compare", run, rival)
    assert result.exit_code == 0
    header, first, second = result.stdout.splitlines()
    assert "p against the first" in header
    assert str(run) in first and str(rival) in second
    values = json.loads(deepseq("compare", run, rival, "--json").stdout)
    first, other = values["runs"]
    assert first["against_first"] is None
    assert other["against_first"]["auc_difference"] < 0
    assert other["against_first"]["p_value"] < 0.05
    assert first["test"]["auc"] == json.loads((run / "metrics.json").read_text())["test"]["auc"]


def test_a_single_run_is_not_compared(run: Path, tmp_path: Path) -> None:
    assert deepseq("compare", run).exit_code == 2
    result = deepseq("compare", run, tmp_path)
    assert result.exit_code == 1 and "no run in" in result.stderr


@pytest.mark.parametrize("content", ["{}", '{"test": {"auc": 1}}', '{"test": 5}'])
def test_a_run_with_damaged_metrics_is_not_compared(run: Path, rival: Path, content: str) -> None:
    (rival / "metrics.json").write_text(content)
    result = deepseq("compare", run, rival)
    assert result.exit_code == 1
    assert "damaged" in result.stderr
