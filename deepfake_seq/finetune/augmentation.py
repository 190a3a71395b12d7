"""Augmented views on the training device: `augment.apply_view` for whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment import IDENTITY, Draw
from deepfake_seq.backend import load_keras

ROW = 6
"""Number of values of a draw: left, top, side, flip, contrast, brightness."""


def draw_rows(draws: Sequence[Draw]) -> npt.NDArray[np.float32]:
    """Convert draws into the layer's input.

    Args:
        draws: Draw of each image.

    Returns:
        float32 (N, 6).
    """
    rows = [
        (draw.left, draw.top, draw.side, draw.flip, draw.contrast, draw.brightness)
        for draw in draws
    ]
    return np.array(rows, dtype=np.float32).reshape(-1, ROW)


def identity_row() -> npt.NDArray[np.float32]:
    """Return the draw that changes nothing, float32 (6,)."""
    row: npt.NDArray[np.float32] = draw_rows([IDENTITY])[0]
    return row


def build_augmentation() -> Any:
    """Build a Keras layer that augments each image of a batch by its draw.

    Its input is `[images, draws]`: float32 (N, S, S, 3) RGB in 0..255 and float32 (N, 6). Its
    output is float32 (N, S, S, 3) in 0..255, whatever the dtype policy of the model.
    """
    keras = load_keras()
    base: Any = keras.layers.Layer

    class Augmentation(base):  # type: ignore[misc]
        """See `build_augmentation`."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**{"dtype": "float32", "trainable": False, **options})

        def call(self, inputs: Sequence[Any]) -> Any:
            """Augment the images."""
            images, draws = inputs
            return _adjust_tones(keras.ops, _crop_and_flip(keras.ops, images, draws), draws)

        def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
            """Return the shape of the images."""
            return input_shape[0]

    return Augmentation()


def _crop_and_flip(ops: Any, images: Any, draws: Any) -> Any:
    """Crop, resize and flip by multiplying rows and columns by bilinear weights.

    XLA compiles these products on every backend, but not `keras.ops.image.affine_transform` on
    TensorFlow.
    """
    size = images.shape[1]
    left, top, side, flip = (draws[:, column, None] for column in range(4))
    place = (ops.arange(size, dtype="float32") + 0.5)[None]
    rows = top * size + side * place - 0.5
    columns = left * size + side * ops.where(flip > 0.5, size - place, place) - 0.5
    images = ops.einsum("nyv,nvxc->nyxc", _weights(ops, rows, size), images)
    return ops.einsum("nxu,nyuc->nyxc", _weights(ops, columns, size), images)


def _weights(ops: Any, places: Any, size: int) -> Any:
    """Return the weight of each of S pixels at each place, (N, S, S), for places (N, S)."""
    inside = ops.clip(places, 0.0, size - 1.0)
    distance = ops.abs(inside[:, :, None] - ops.arange(size, dtype="float32"))
    return ops.maximum(1.0 - distance, 0.0)


def _adjust_tones(ops: Any, images: Any, draws: Any) -> Any:
    """Change contrast and brightness."""
    contrast, brightness = (draws[:, column, None, None, None] for column in (4, 5))
    mean = ops.mean(images, axis=(1, 2), keepdims=True)
    return ops.clip((images - mean) * contrast + mean + 255 * brightness, 0.0, 255.0)
