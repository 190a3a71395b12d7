"""A run on cached faces with a CNN that costs nothing, for tests on distorted clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from faces import CONFIG, face_store

from deepfake_seq.config import (
    BackboneConfig,
    ExecutionConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.extract import extractor, pipeline
from deepfake_seq.extract.records.from_faces import cached_items
from deepfake_seq.extract.resolve import resolve_cached
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureStore, faces_of


class ColourCnn:
    """Features are the mean colours of a crop and its fine detail."""

    batch = 8

    def __init__(self) -> None:
        self.crops = 0

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.crops += len(crops_rgb)
        crops = crops_rgb.astype(np.float32)
        detail = np.abs(np.diff(crops, axis=2)).mean(axis=(1, 2, 3))
        few = np.column_stack([crops.mean(axis=(1, 2)), detail])
        return np.tile(few, (1, 128))


@contextmanager
def colour_cnn() -> Iterator[ColourCnn]:
    """Replace the CNN of extraction inside the block."""
    cnn = ColourCnn()

    def build_runtime(runtime: str, config: BackboneConfig, weights: Path | None) -> ColourCnn:
        return cnn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "build_runtime", build_runtime)
        yield cnn


def faces_run(folder: Path, clips: int = 40, members: int = 2) -> tuple[Path, Path]:
    """Write a feature store with a face cache, and a run trained on it; return both paths."""
    store, run_folder = folder / "store", folder / "run"
    with face_store(faces_of(store), clips) as faces:
        resolved = resolve_cached(faces, CONFIG.backbone)
        items = cached_items(faces, all_people=False)
    with colour_cnn(), StoreWriters.create(store, resolved) as writers:
        pipeline.extract(items, resolved, writers, ExecutionConfig(workers=1))
    config = ExperimentConfig(
        model=ModelConfig("logistic", inputs="features"), train=TrainConfig(members=members)
    )
    with FeatureStore.open(store) as features:
        fit(load_experiment(features, SplitConfig()), run_folder, config)
    return store, run_folder
