"""Each CNN on real face clips, two epochs at a reduced input size, from the videos to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepfake_seq import predict
from deepfake_seq.config import (
    BACKBONES,
    BackboneConfig,
    DecisionConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    FinetuneConfig,
    SplitConfig,
)
from deepfake_seq.datasets import apply_labels, discover
from deepfake_seq.extract import pipeline
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.extract.options import ExtractOptions
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.finetune.tune import finetune, finetune_experiment, load_task
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.runs import run
from deepfake_seq.store import FaceStore, open_faces

NETWORK = "face_detection_yunet_2026may.onnx"


class NoCnn:
    """Stand-in for the CNN in tests that only need the faces."""

    batch = 16
    cells = None

    def rows(self, inputs: Inputs) -> np.ndarray:
        return np.ones((len(inputs["crops_rgb"]), 512), dtype=np.float32)


@pytest.fixture(scope="module")
def detector(shared: Path) -> str:
    return str(shared / "detectors" / NETWORK)


@pytest.fixture(scope="module")
def cache(
    shared: Path, detector: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaceStore]:
    """Face cache of every other clip."""
    folder = tmp_path_factory.mktemp("clips") / "features"
    config = ExtractConfig(
        faces=FaceConfig("yunet", detector), backbone=BackboneConfig("vgg16", "untrained")
    )
    items, _ = apply_labels(discover([shared / "clips"]).items, shared / "clips" / "manifest.csv")
    items = items[::2]
    resolved = resolve(config, ExtractOptions(keep_faces=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepfake_seq.extract.evidence.evidence.build_runtime", lambda *_: NoCnn())
        with StoreWriters.create(folder, resolved) as store:
            summary = pipeline.extract(items, resolved, store, ExecutionConfig())
    assert (summary.ok, summary.failed) == (26, 0)
    return open_faces(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights"),
    [*((name, "untrained") for name in BACKBONES), ("inception_v3", "shared")],
)
def test_a_run_of_two_epochs_classifies_clips(
    name: str, weights: str, cache: FaceStore, shared: Path, detector: str, tmp_path: Path
) -> None:
    if weights == "shared":
        weights = str(shared / "weights" / "inception_v3_2015.weights.h5")
    size = BACKBONE_TABLE[name].smallest
    config = FinetuneConfig(input_size=size, head_epochs=1, epochs=1, fine_learning_rate=1e-4)
    experiment_config = finetune_experiment(config, SplitConfig(), DecisionConfig())
    task = load_task(cache, BackboneConfig(name, weights), experiment_config, config)
    result = finetune(task, tmp_path / "run")
    assert sum(result.split.values()) == 26 and result.split["test"] > 0
    assert result.parameters["trainable"] > 565_761 - 400_000

    stored = predictions.read(result.folder / predictions.NAME)
    name_of_one = next(video_id for video_id in stored.video_ids if video_id.startswith("fake/"))
    clip = shared / "clips" / name_of_one
    override = predict.WeightsOverride(detector=detector)
    execution = ExecutionConfig(workers=1)
    (verdict,) = predict.predict([clip], result.folder, execution, override)
    assert verdict.frames_used == 16
    model = run.load(result.folder)
    expected = stored.scores[stored.video_ids.index(name_of_one)]
    if verdict.score is None:
        assert model.decision.is_doubtful(expected)
    else:
        assert verdict.score == pytest.approx(expected, abs=1e-3)
