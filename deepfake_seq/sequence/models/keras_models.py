"""The sequence models in Keras, in one table. Each returns one logit per clip; above 0 means fake.

Every recurrent layer gets its mask explicitly, because mask propagation differs between versions of
Keras. The output never depends on the content of masked frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.data.preprocessing import STATISTICS, input_width
from deepfake_seq.sequence.models.architecture import DENSE_UNITS, FRAME_UNITS
from deepfake_seq.sequence.models.sequence_model import MASK_HEAD, WIDE_KERNEL


def build_model(config: ModelConfig, frames: int, width: int, *, masks: bool = False) -> Any:
    """Build an untrained `keras.Model` of the inputs of `preprocessing.Inputs`.

    The inputs are `features`, float32 (N, T, W), `mask`, bool (N, T), with the valid frames first
    and at least one per clip and, for a model with a wide part, `statistics`, float32 (N, S). The
    output is float32 (N, 1) or, with `masks`, a list of it and of the second output, float32
    (N, 6).

    Args:
        config: Settings of the model.
        frames: Number of frames T.
        width: Width D of the features.
        masks: Whether to add the output that predicts the replaced shares of face regions.
    """
    model = MODEL_TABLE[config.name](config, frames, input_width(config.inputs, width))
    if config.statistics:
        model = _with_wide_part(model, config, width)
    if masks:
        keras = load_keras()
        outputs = [model.output, _mask_logits(model)]
        model = keras.Model(model.inputs, outputs, name=config.name)
    return model


def _mask_logits(model: Any) -> Any:
    """Build the second output; it reads the inputs of the layer that computes the logit."""
    x = model.get_layer("dropout").output
    logits = load_keras().layers.Dense(len(REGIONS), name=MASK_HEAD)(x)
    return _mean_of_valid(logits, model.inputs[1]) if len(logits.shape) > 2 else logits


def _with_wide_part(model: Any, config: ModelConfig, width: int) -> Any:
    keras = load_keras()
    count = STATISTICS[config.statistics] * width
    statistics = keras.Input((count,), dtype="float32", name="statistics")
    wide = keras.layers.Dense(1, use_bias=False, name=WIDE_KERNEL.split("/")[0])(statistics)
    logit = keras.layers.Add(name="wide_and_deep")([model.output, wide])
    return keras.Model([*model.inputs, statistics], logit, name=config.name)


def _recurrent(config: ModelConfig, frames: int, width: int) -> Any:
    """Build RNN → BatchNorm → … → RNN → Dense 32 → Dropout → Dense 1."""
    keras = load_keras()
    layers = keras.layers

    features, mask = _inputs(frames, width)
    x = features
    for number, units in enumerate(config.units, start=1):
        last = number == len(config.units)
        name = f"{config.name}_{number}"
        if config.name == "gru":
            layer = layers.GRU(units, return_sequences=not last, reset_after=True, name=name)
        else:
            layer = layers.LSTM(units, return_sequences=not last, name=name)
        if config.bidirectional:
            layer = layers.Bidirectional(layer, name=f"bi{name}")
        x = layer(x, mask=mask)
        if not last:
            x = layers.BatchNormalization(name=f"norm_{number}")(x, mask=mask)
    x = layers.Dense(DENSE_UNITS, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    return keras.Model([features, mask], layers.Dense(1, name="logit")(x), name=config.name)


def _dense(config: ModelConfig, frames: int, width: int) -> Any:
    """Build Dense 256 → 128 → 64 → 1 on each frame; the mean of the valid frames' logits."""
    keras = load_keras()
    layers = keras.layers

    features, mask = _inputs(frames, width)
    x = features
    for units in FRAME_UNITS:
        x = layers.Dense(units, activation="relu", name=f"dense_{units}")(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    logits = layers.Dense(1, name="frame_logit")(x)
    return keras.Model([features, mask], _mean_of_valid(logits, mask), name=config.name)


def _attention(config: ModelConfig, frames: int, width: int) -> Any:
    """Build channel attention on pooled features: gap · sigmoid(W gap) → Dropout → Dense 1."""
    keras = load_keras()
    layers = keras.layers

    features, mask = _inputs(frames, width)
    pooled = _mean_of_valid(features, mask)
    weights = layers.Dense(width, activation="sigmoid", name="attention")(pooled)
    x = layers.Multiply(name="attended")([pooled, weights])
    x = layers.Dropout(config.dropout, name="dropout")(x)
    return keras.Model([features, mask], layers.Dense(1, name="logit")(x), name=config.name)


def _frame_attention(config: ModelConfig, frames: int, width: int) -> Any:
    """Build channel attention on each frame; the mean of the valid frames' logits."""
    keras = load_keras()
    layers = keras.layers

    features, mask = _inputs(frames, width)
    weights = layers.Dense(width, activation="sigmoid", name="attention")(features)
    x = layers.Multiply(name="attended")([features, weights])
    x = layers.Dropout(config.dropout, name="dropout")(x)
    logits = layers.Dense(1, name="frame_logit")(x)
    return keras.Model([features, mask], _mean_of_valid(logits, mask), name=config.name)


def _inputs(frames: int, width: int) -> tuple[Any, Any]:
    keras = load_keras()
    features = keras.Input((frames, width), dtype="float32", name="features")
    return features, keras.Input((frames,), dtype="bool", name="mask")


def _mean_of_valid(values: Any, mask: Any) -> Any:
    """Return the mean over the valid frames, (N, D) for values (N, T, D); 0 without any."""
    ops = load_keras().ops
    valid = ops.cast(mask, "float32")[..., None]
    return ops.sum(values * valid, axis=1) / ops.maximum(ops.sum(valid, axis=1), 1.0)


MODEL_TABLE: dict[str, Callable[[ModelConfig, int, int], Any]] = {
    "gru": _recurrent,
    "lstm": _recurrent,
    "dense": _dense,
    "attention": _attention,
    "frame_attention": _frame_attention,
}
