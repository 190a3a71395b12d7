"""The sequence models: one table. Each gives one logit a clip; above 0 means fake.

Every recurrent layer is handed its mask explicitly, so that nothing depends on whether a Keras
version passes masks on by itself, and the output never depends on what stands in masked frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig

GRU_UNITS = (64, 32, 16)
_DENSE_UNITS = 32


def build_model(config: ModelConfig, frames: int, width: int) -> Any:
    """An untrained `keras.Model` of two inputs.

    Its inputs are `features`, float32 (N, T, D), and `mask`, bool (N, T), with the valid frames
    first and at least one of them; its output is float32 (N, 1).

    Args:
        config: Which model.
        frames: T.
        width: D.
    """
    return MODEL_TABLE[config.name](config, frames, width)


def count_parameters(model: Any) -> dict[str, int]:
    """How many numbers the model holds, and how many of them training changes."""
    return {
        "total": sum(math.prod(variable.shape) for variable in model.weights),
        "trainable": sum(math.prod(variable.shape) for variable in model.trainable_weights),
    }


def _gru(config: ModelConfig, frames: int, width: int) -> Any:
    """GRU 64 → BatchNorm → GRU 32 → BatchNorm → GRU 16 → Dense 32 → Dropout → Dense 1."""
    keras = load_keras()
    layers = keras.layers

    features = keras.Input((frames, width), dtype="float32", name="features")
    mask = keras.Input((frames,), dtype="bool", name="mask")
    x = features
    for number, units in enumerate(GRU_UNITS, start=1):
        last = number == len(GRU_UNITS)
        recurrent = layers.GRU(
            units, return_sequences=not last, reset_after=True, name=f"gru_{number}"
        )
        if config.bidirectional:
            recurrent = layers.Bidirectional(recurrent, name=f"bigru_{number}")
        x = recurrent(x, mask=mask)
        if not last:
            x = layers.BatchNormalization(name=f"norm_{number}")(x, mask=mask)
    x = layers.Dense(_DENSE_UNITS, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    logit = layers.Dense(1, name="logit")(x)
    return keras.Model([features, mask], logit, name=config.title)


MODEL_TABLE: dict[str, Callable[[ModelConfig, int, int], Any]] = {"gru": _gru}
