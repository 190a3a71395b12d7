"""A CNN of two layers that replaces a large one in tests of the code around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepfake_seq.extract.backbones.table import BACKBONE_TABLE

CROP_SIZE = 32


def InceptionV3(**options: Any) -> Any:  # noqa: N802 - as in Keras
    """Replace `keras.applications.InceptionV3`: 2,048 features, with batch normalisation."""
    return _build(2048, has_norm=True, **options)


def VGG16(**options: Any) -> Any:  # noqa: N802
    """Replace `keras.applications.VGG16`: 512 features."""
    return _build(512, has_norm=False, **options)


def EfficientNetB1(**options: Any) -> Any:  # noqa: N802
    """Called as `keras.applications.EfficientNetB1` is; 8 features."""
    return _build(8, has_norm=False, **options)


def _build(
    width: int,
    *,
    has_norm: bool,
    weights: None,
    include_top: bool,
    pooling: str | None,
    input_shape: tuple[int, int, int],
) -> Any:
    import keras

    assert weights is None and not include_top
    images = keras.Input(input_shape)
    if has_norm:
        axis = 1 if keras.config.image_data_format() == "channels_first" else -1
        maps = keras.layers.Conv2D(8, 4, strides=4)(images)
        maps = keras.layers.BatchNormalization(axis=axis)(maps)
        maps = keras.layers.ReLU(name="maps")(maps)
    else:
        maps = keras.layers.Conv2D(8, 4, strides=4, activation="relu", name="maps")(images)
    maps = keras.layers.Conv2D(width, 4, strides=4, activation="relu")(maps)
    if pooling:
        maps = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(images, maps)


@contextmanager
def in_place(home: Path) -> Iterator[None]:
    """Replace `inception_v3` and `vgg16` by the tiny CNNs inside the block.

    Args:
        home: Folder for their exported networks, separate from those of the real CNNs.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, build, width in (
            ("inception_v3", InceptionV3, 2048),
            ("vgg16", VGG16, 512),
            ("efficientnet_b1", EfficientNetB1, 8),
        ):
            row = replace(
                BACKBONE_TABLE[name],
                application=f"{__name__}.{build.__name__}",
                crop_size=CROP_SIZE,
                width=width,
                fine_layer="maps",
                fine_width=8,
                late_layer="maps",
                late_width=8,
            )
            patch.setitem(BACKBONE_TABLE, name, row)
        patch.setenv("DEEPSEQ_HOME", str(home))
        # The process that exports networks imports this module, too.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
        yield
