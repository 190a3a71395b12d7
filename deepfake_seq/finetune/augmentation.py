"""Augmented views on the device that trains: what `augment.apply_view` does, on batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment import IDENTITY, Draw
from deepfake_seq.backend import load_keras

ROW = 6
"""The numbers of a draw: left, top, side, flip, contrast, brightness."""


def draw_rows(draws: Sequence[Draw]) -> npt.NDArray[np.float32]:
    """Draws as the layer takes them.

    Args:
        draws: One for each image.

    Returns:
        float32 (N, 6).
    """
    rows = [
        (draw.left, draw.top, draw.side, draw.flip, draw.contrast, draw.brightness)
        for draw in draws
    ]
    return np.array(rows, dtype=np.float32).reshape(-1, ROW)


def identity_row() -> npt.NDArray[np.float32]:
    """The draw that changes nothing, float32 (6,)."""
    row: npt.NDArray[np.float32] = draw_rows([IDENTITY])[0]
    return row


def build_augmentation() -> Any:
    """A Keras layer that shows each image of a batch as its draw describes.

    Called with `[images, draws]`, float32 (N, S, S, 3) RGB in 0..255 and float32 (N, 6), it gives
    float32 (N, S, S, 3) in 0..255, whatever the precision that is set for the model.
    """
    keras = load_keras()
    base: Any = keras.layers.Layer

    class Augmentation(base):  # type: ignore[misc]
        """See `build_augmentation`."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**{"dtype": "float32", "trainable": False, **options})

        def call(self, inputs: Sequence[Any]) -> Any:
            """See `build_augmentation`."""
            images, draws = inputs
            return _toned(keras.ops, _framed(keras.ops, images, draws), draws)

        def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
            """That of the images."""
            return input_shape[0]

    return Augmentation()


def _framed(ops: Any, images: Any, draws: Any) -> Any:
    """Crop, resize and flip: products with bilinear weights, for the rows and for the columns.

    XLA compiles them on every backend; on TensorFlow's, it has no
    `keras.ops.image.affine_transform`.
    """
    size = images.shape[1]
    left, top, side, flip = (draws[:, column, None] for column in range(4))
    place = (ops.arange(size, dtype="float32") + 0.5)[None]
    rows = top * size + side * place - 0.5
    columns = left * size + side * ops.where(flip > 0.5, size - place, place) - 0.5
    images = ops.einsum("nyv,nvxc->nyxc", _weights(ops, rows, size), images)
    return ops.einsum("nxu,nyuc->nyxc", _weights(ops, columns, size), images)


def _weights(ops: Any, places: Any, size: int) -> Any:
    """(N, S, S): what each pixel of a line gives to each place on it, float32 (N, S)."""
    inside = ops.clip(places, 0.0, size - 1.0)
    distance = ops.abs(inside[:, :, None] - ops.arange(size, dtype="float32"))
    return ops.maximum(1.0 - distance, 0.0)


def _toned(ops: Any, images: Any, draws: Any) -> Any:
    """Contrast and brightness."""
    contrast, brightness = (draws[:, column, None, None, None] for column in (4, 5))
    mean = ops.mean(images, axis=(1, 2), keepdims=True)
    return ops.clip((images - mean) * contrast + mean + 255 * brightness, 0.0, 255.0)
