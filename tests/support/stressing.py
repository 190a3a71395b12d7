"""A run on cached faces with a CNN that costs nothing, for tests on distorted clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from faces import CONFIG, face_store

from deepfake_seq.config import (
    ExecutionConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.extract import pipeline
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.extract.evidence import evidence as evidence_module
from deepfake_seq.extract.options import ExtractOptions
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
    width = 4
    cells: tuple[int, int] | None = None

    def __init__(self) -> None:
        self.crops = 0

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """See `BlockRuntime.rows`."""
        return self.features(inputs["crops_rgb"])

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.crops += len(crops_rgb)
        crops = crops_rgb.astype(np.float32)
        detail = np.abs(np.diff(crops, axis=2)).mean(axis=(1, 2, 3))
        return np.column_stack([crops.mean(axis=(1, 2)), detail])


@contextmanager
def colour_cnn() -> Iterator[ColourCnn]:
    """Replace the CNN of extraction inside the block."""
    cnn = ColourCnn()

    def build_runtime(*_: object) -> ColourCnn:
        return cnn

    with pytest.MonkeyPatch.context() as patch:
        row = replace(BACKBONE_TABLE[CONFIG.backbone.name], width=ColourCnn.width)
        patch.setitem(BACKBONE_TABLE, CONFIG.backbone.name, row)
        patch.setattr(evidence_module, "build_runtime", build_runtime)
        yield cnn


def faces_run(
    folder: Path, clips: int = 40, members: int = 2, evidence: tuple[str, ...] = ()
) -> tuple[Path, Path]:
    """Write a feature store with a face cache, and a run trained on it; return both paths.

    Args:
        folder: The folder to write to.
        clips: Number of clips.
        members: Number of networks.
        evidence: Evidence blocks of the run, in addition to the features.
    """
    store, run_folder = folder / "store", folder / "run"
    with face_store(faces_of(store), clips) as faces:
        resolved = resolve_cached(faces, CONFIG.backbone, ExtractOptions(evidence=evidence))
        items = cached_items(faces, all_people=False)
    with colour_cnn(), StoreWriters.create(store, resolved) as writers:
        pipeline.extract(items, resolved, writers, ExecutionConfig(workers=1))
    config = ExperimentConfig(
        model=ModelConfig("logistic", inputs="features"), train=TrainConfig(members=members)
    )
    with FeatureStore.open(store) as features:
        fit(load_experiment(features, SplitConfig()), run_folder, config)
    return store, run_folder
