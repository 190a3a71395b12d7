"""Finetuning from a face cache to a run, in two phases, with resumption."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import int8_ranges
import pytest
from children import PATHS
from detector_networks import write_retinaface_mobile_like
from faces import CONFIG, face_clip, face_store, write_faces

from deepfake_seq.config import (
    BackboneConfig,
    DecisionConfig,
    FaceConfig,
    FinetuneConfig,
    SplitConfig,
    ViewsConfig,
)
from deepfake_seq.datasets import REAL
from deepfake_seq.errors import DatasetError, RunError, UsageError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.backbones.ranges import encode_ranges
from deepfake_seq.finetune.reuse import finetuned_cnn
from deepfake_seq.finetune.tune import FinetuneTask, finetune, finetune_experiment, load_task
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.history import read_histories
from deepfake_seq.sequence.runs.writer import FitResult
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.store import FaceStore
from deepfake_seq.weights import digest_of

pytestmark = pytest.mark.usefixtures("tiny_cnn")

PARAMETERS = 66_440 + 172_545
"""Number of parameters of the tiny CNN and the dense head."""

SHORT = FinetuneConfig(
    input_size=32, head_epochs=2, epochs=2, batch_size=32, unfreeze=4, fine_learning_rate=1e-4
)


def task_of(
    store: FaceStore, config: FinetuneConfig = SHORT, backbone: str = "vgg16"
) -> FinetuneTask:
    experiment_config = finetune_experiment(config, SplitConfig(), DecisionConfig())
    return load_task(store, BackboneConfig(backbone, "untrained"), experiment_config, config)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FaceStore:
    return face_store(tmp_path_factory.mktemp("cache") / "faces")


@pytest.fixture(scope="module")
def fitted(store: FaceStore, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """Run of an uninterrupted training."""
    return finetune(task_of(store), tmp_path_factory.mktemp("runs") / "whole")


def test_a_fine_tuned_run_contains_the_files_of_any_run(fitted: FitResult) -> None:
    names = {path.name for path in fitted.folder.iterdir()}
    assert names == {
        "README.md",
        finetuned_weights.FILE_NAME,
        "history.csv",
        "metrics.json",
        "model.json",
        "model.safetensors",
        "plots",
        "predictions.csv",
        "split.json",
    }
    assert not fitted.folder.with_name("whole.checkpoint").exists()
    assert fitted.model == "vgg16-dense"
    assert fitted.parameters["total"] == PARAMETERS
    assert set(fitted.metrics["baselines"]) == {"majority", "mean_pool_logistic"}
    assert fitted.metrics["test"]["clips"]["real"] > 0


def test_a_run_names_its_cnn(fitted: FitResult) -> None:
    model = run.load(fitted.folder)
    backbone = model.fingerprint.fields["backbone"]
    assert model.title == "vgg16-dense"
    assert model.extract_config.backbone == BackboneConfig("vgg16", finetuned_weights.FILE_NAME)
    assert backbone["weights_sha256"] == digest_of(fitted.folder / finetuned_weights.FILE_NAME)
    assert model.fingerprint.fields["faces"]["crop_size"] == 32
    card = (fitted.folder / "README.md").read_text()
    assert card.startswith("# vgg16-dense\n\nA deepseq CNN, finetuned on faces, trained on")
    notes = json.loads((fitted.folder / run.DESCRIPTION).read_text())["finetune"]
    assert (notes["backbone"], notes["input_size"], notes["epochs"]) == ("vgg16", 32, 2)


def test_the_history_contains_the_epochs_of_both_phases(fitted: FitResult) -> None:
    (rows,) = read_histories(fitted.folder)
    assert [(row["phase"], row["epoch"]) for row in rows] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert (fitted.folder / "plots" / "training.png").stat().st_size > 10_000


def test_the_clips_of_a_run_are_known_when_its_cnn_is_reused(fitted: FitResult) -> None:
    cnn = finetuned_cnn(fitted.folder)
    split = split_file.read_split(fitted.folder)
    assert (cnn.backbone, cnn.weights) == (
        "vgg16",
        fitted.folder.absolute() / finetuned_weights.FILE_NAME,
    )
    for split_name in ("train", "validation", "test"):
        for name, clip in split[split_name].items():
            assert cnn.clips.overlap_of(f"other/{name}", "", clip.sha256, ()) == split_name
    someone = next(iter(split["train"].values())).groups
    assert cnn.clips.overlap_of("new.mp4", "", "f" * 64, someone) == "related"
    assert cnn.clips.overlap_of("new.mp4", "", "f" * 64, ("nobody",)) == "unseen"


def test_an_altered_cnn_is_refused(fitted: FitResult, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(fitted.folder, folder)
    content = bytearray((folder / finetuned_weights.FILE_NAME).read_bytes())
    content[-1] ^= 1
    (folder / finetuned_weights.FILE_NAME).write_bytes(content)
    with pytest.raises(RunError, match="is missing or was altered"):
        finetuned_cnn(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import tiny_cnn
from test_tune import SHORT, finetune, task_of
from deepfake_seq.store import FaceStore

batches = 0
def count(note):
    global batches
    batches += 1
    if batches == {stop}:
        os.kill(os.getpid(), signal.SIGKILL)

with tiny_cnn.in_place(Path({home!r})):
    finetune(task_of(FaceStore.open({store!r})), Path({out!r}), count)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["in the first phase", "in the second phase"])
def test_a_killed_training_resumes_to_the_same_result(
    stop: str, store: FaceStore, fitted: FitResult, tiny_home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    task = task_of(store)
    epoch = task.stream.batches
    at = 2 + (
        epoch if stop == "in the first phase" else 3 * epoch
    )  # the first batch is for the baselines
    paths = [*PATHS, str(Path(__file__).parent)]
    code = KILLED.format(
        paths=paths, home=str(tiny_home), stop=at, store=str(store.path), out=str(out)
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert not out.exists()
    state = json.loads((tmp_path / "killed.checkpoint" / "state.json").read_text())
    assert len(state["history"]) == (1 if stop == "in the first phase" else 3)
    done = []
    result = finetune(task, out, done.append)
    assert len(done) == task.batches - (at - 2)
    assert result.metrics == fitted.metrics
    for name in (
        finetuned_weights.FILE_NAME,
        "model.safetensors",
        "history.csv",
        "predictions.csv",
    ):
        assert (out / name).read_bytes() == (fitted.folder / name).read_bytes(), name


def test_a_cnn_is_finetuned_on_faces_of_a_detector_in_int8(tmp_path: Path, tiny_home: Path) -> None:
    network = write_retinaface_mobile_like(tmp_path / "detector.onnx", is_deep=True)
    ranges = int8_ranges.write_of_detector(tiny_home, network)
    faces = FaceConfig("retinaface-mobile", str(network), precision="int8")
    store = face_store(tmp_path / "faces", config=replace(CONFIG, faces=faces))
    fitted = finetune(task_of(store), tmp_path / "run")
    model = run.load(fitted.folder)
    settings = model.extract_config
    assert (settings.faces.precision, settings.backbone.precision) == ("int8", "float32")
    assert model.fingerprint.fields["faces"]["ranges_sha256"] == ranges.sha256
    assert (fitted.folder / "int8.json").read_bytes() == encode_ranges([ranges])


def test_an_existing_folder_is_not_overwritten(store: FaceStore, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(UsageError, match="already exists"):
        finetune(task_of(store), tmp_path / "run")


@pytest.mark.slow
def test_without_fakes_it_trains_on_self_blended_ones(tmp_path: Path) -> None:
    reals = [face_clip(f"{n:02}.mp4", REAL, n, groups=(f"p{n}",)) for n in range(12)]
    store = write_faces(tmp_path / "faces", reals)
    with pytest.raises(DatasetError, match="both real and fake"):
        task_of(store)
    blended = replace(SHORT, augmentation=ViewsConfig(augment="all", self_blend=1))
    result = finetune(task_of(store, blended), tmp_path / "run")
    assert result.views == {"real": 0, "fake": result.split["train"]}
    assert result.metrics["validation"]["clips"]["fake"] == 0
    assert any("NO FAKES IN VALIDATION" in warning for warning in result.warnings)
    assert run.load(result.folder).decision.knows_fakes is False
    split = split_file.read_split(result.folder)
    assert all("@" not in name for clips in split.values() for name in clips)


@pytest.mark.slow
def test_few_fakes_are_used_for_validation_first(tmp_path: Path) -> None:
    clips = [face_clip(f"{n:02}.mp4", int(n == 0), n, groups=(f"p{n}",)) for n in range(12)]
    store = write_faces(tmp_path / "faces", clips)
    blended = replace(SHORT, augmentation=ViewsConfig(self_blend=1), epochs=0)
    result = finetune(task_of(store, blended), tmp_path / "run")
    assert result.metrics["validation"]["clips"]["fake"] == 1
    assert result.metrics["baselines"] == {}


def test_a_fine_tuned_cnn_is_refused_as_the_start(fitted: FitResult, store: FaceStore) -> None:
    backbone = BackboneConfig("vgg16", str(fitted.folder / finetuned_weights.FILE_NAME))
    experiment_config = finetune_experiment(SHORT, SplitConfig(), DecisionConfig())
    with pytest.raises(UsageError, match="cannot start from a finetuned CNN"):
        load_task(store, backbone, experiment_config, SHORT)


@pytest.mark.parametrize("head", ["dense", pytest.param("attention", marks=pytest.mark.slow)])
def test_fine_tuning_learns_to_separate_the_classes(
    head: str, store: FaceStore, tmp_path: Path
) -> None:
    config = replace(SHORT, head=head, head_epochs=8, epochs=0, learning_rate=3e-4)
    result = finetune(task_of(store, config), tmp_path / "run")
    assert result.metrics["validation"]["auc"] == 1.0
