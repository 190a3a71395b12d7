"""Augmentation on the training device equals the augmentation of views."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq.augment import IDENTITY, Draw, apply_view, draw_view
from deepfake_seq.finetune.augmentation import build_augmentation, draw_rows, identity_row

SIZE = 75


@pytest.fixture(scope="module")
def layer() -> Any:
    return build_augmentation()


@pytest.fixture(scope="module")
def images_rgb() -> npt.NDArray[np.uint8]:
    """Smooth images, so that rounding changes little."""
    generator = np.random.default_rng(0)
    noise = generator.random((6, SIZE, SIZE, 3), dtype=np.float32)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 4) for image in noise])
    smooth -= smooth.min()
    return (smooth / smooth.max() * 255).astype(np.uint8)


def augmented(layer: Any, images: npt.NDArray[Any], rows: npt.NDArray[np.float32]) -> Any:
    return np.asarray(layer([images.astype(np.float32), rows]))


def test_the_layer_equals_the_augmentation_of_views(
    layer: Any, images_rgb: npt.NDArray[np.uint8]
) -> None:
    generator = np.random.default_rng(1)
    draws = [
        *(draw_view(generator) for _ in range(3)),
        Draw(0.5, 0.1, 0.4, flip=True),
        Draw(contrast=2.5),
        Draw(brightness=-0.4),
    ]
    result = augmented(layer, images_rgb, draw_rows(draws))
    assert result.dtype == np.float32
    for image, draw, output in zip(images_rgb, draws, result, strict=True):
        (expected,) = apply_view([image], draw)
        assert np.abs(output - expected).max() < 1.5


def test_the_identity_draw_changes_nothing(layer: Any) -> None:
    generator = np.random.default_rng(2)
    noise = generator.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    rows = np.stack([draw_rows([draw_view(generator)])[0], identity_row(), identity_row()])
    result = augmented(layer, noise, rows)
    assert np.abs(result[1:] - noise[1:]).max() < 1e-3
    assert np.abs(result[0] - noise[0]).max() > 1


def test_a_draw_becomes_a_row_of_floats() -> None:
    rows = draw_rows([IDENTITY, Draw(0.1, 0.2, 0.5, True, 1.5, -0.25)])
    assert rows.dtype == np.float32
    assert rows.tolist()[0] == identity_row().tolist() == [0, 0, 1, 0, 1, 0]
    assert rows[1] == pytest.approx([0.1, 0.2, 0.5, 1, 1.5, -0.25])
    assert draw_rows([]).shape == (0, 6)


def test_the_layer_is_compiled_by_xla(images_rgb: npt.NDArray[np.uint8]) -> None:
    from deepfake_seq.backend import load_keras

    keras = load_keras()
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8"), keras.Input((6,))
    model = keras.Model(inputs, build_augmentation()(list(inputs)))
    assert model.output.shape == (None, SIZE, SIZE, 3)
    assert not model.weights
    model.compile(jit_compile=True)
    rows = np.tile(identity_row(), (len(images_rgb), 1))
    result = model.predict_on_batch([images_rgb, rows])
    assert np.abs(result - images_rgb).max() < 1e-3


def test_the_layer_computes_in_float32_whatever_the_model(
    images_rgb: npt.NDArray[np.uint8],
) -> None:
    from deepfake_seq.backend import load_keras

    keras = load_keras()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = augmented(build_augmentation(), images_rgb, np.tile(identity_row(), (6, 1)))
    finally:
        keras.config.set_dtype_policy(before)
    assert result.dtype == np.float32
    assert np.abs(result - images_rgb).max() < 1e-3
