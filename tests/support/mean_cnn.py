"""Settings for tests that do not depend on the features, and a CNN that costs nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import BackboneConfig, ExtractConfig, FaceConfig, SamplingConfig
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.backbones.table import backbone_of
from deepfake_seq.extract.evidence import Evidence

CONFIG = ExtractConfig(
    sampling=SamplingConfig(frames=2),
    faces=FaceConfig(detector="none"),
    backbone=BackboneConfig("vgg16", "untrained"),
)


class MeanCnn:
    """Each feature is the crop's mean grey level."""

    batch = 1
    cells: tuple[int, int] | None = None

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """See `BlockRuntime.rows`."""
        return self.features(inputs["crops_rgb"])

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.repeat(crops_rgb.mean(axis=(1, 2, 3), dtype=np.float32)[:, None], 512, axis=1)


def features_of(cnn: MeanCnn) -> Evidence:
    """Return evidence that consists of the features of this CNN, in place of VGG16."""
    return Evidence(["features"], backbone_of("vgg16", None), cnn)
