"""A CNN and its head in Keras, with layers that are frozen or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import has_gpu, load_keras
from deepfake_seq.config import AUTO, HEADS, BackboneConfig, FinetuneConfig, ModelConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.backbones.table import Backbone, build_keras_model, preprocess
from deepfake_seq.finetune.augmentation import build_augmentation
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.architecture import FRAME_UNITS
from deepfake_seq.sequence.models.networks import Network, unscaled
from deepfake_seq.sequence.training.trainer import initial_weights

Images = npt.NDArray[np.uint8]


class FinetunableCnn:
    """See `CnnRuntime`: features of crops, by weights that `step` changes.

    The CNN runs as if it judged throughout: its batch normalisations keep their statistics (and
    their scales) whatever is unfrozen, and nothing in it is dropped at random.

    Args:
        backbone: Which CNN, and its weights.
        row: What it takes and gives, with the input size that is wanted.
        weights: Its weights file, or None for seeded noise.
        config: The head and how it is trained.
    """

    def __init__(
        self, backbone: BackboneConfig, row: Backbone, weights: Path | None, config: FinetuneConfig
    ) -> None:
        keras = load_keras()

        self.row = row
        self.batch = config.batch_size
        self.model_config = ModelConfig(HEADS[config.head], dropout=config.dropout)
        self.precision = _precision(config.precision)
        self._name = backbone.name
        self._seed = config.seed
        before = keras.config.dtype_policy()
        policy = "float32" if self.precision == "float32" else f"mixed_{self.precision}"
        keras.config.set_dtype_policy(policy)
        try:
            self._cnn = build_keras_model(row, weights, pooling=None)
        finally:
            keras.config.set_dtype_policy(before)
        side = row.crop_size
        crops = keras.Input((side, side, 3), dtype="uint8", name="crops")
        draws = keras.Input((6,), dtype="float32", name="draws")
        shown = keras.ops.cast(crops, "float32")
        maps = self._maps(build_augmentation()([shown, draws]))
        self.head = build_head(config.head, maps.shape[1:], config.dropout)
        self._model = keras.Model([crops, draws], self.head(maps))
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(self._maps(shown))
        self._features = keras.Model(crops, pooled)
        self._start_head()

    @property
    def layers(self) -> int:
        """How many layers the CNN has."""
        return len(self._cnn.layers)

    @property
    def parameters(self) -> dict[str, int]:
        """Of CNN and head: how many numbers there are, and how many are trained now."""
        return {
            "total": int(self._model.count_params()),
            "trainable": sum(int(np.prod(own.shape)) for own in self._model.trainable_variables),
        }

    @property
    def computed(self) -> str:
        """What computes, and how exactly."""
        return f"{load_keras().backend.backend()} {self.precision}"

    def begin_phase(self, unfrozen: int, learning_rate: float) -> None:
        """Freeze the CNN but for its last layers, and start an optimizer.

        Batch normalisations stay frozen, whichever layers are not.

        Args:
            unfrozen: How many layers of the CNN are trained, from the last one.
            learning_rate: Adam's.
        """
        keras = load_keras()

        self._cnn.trainable = True
        for number, layer in enumerate(reversed(self._cnn.layers)):
            frozen = number >= unfrozen or isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = not frozen
        optimizer = keras.optimizers.Adam(learning_rate)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        if self.precision == "float16":  # whose smallest gradients would be zeros
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        compiled = "auto" if keras.backend.backend() != "tensorflow" else has_gpu()
        self._model.compile(optimizer=optimizer, loss=loss, jit_compile=compiled)
        self._model.optimizer.build(self._model.trainable_variables)

    def seed_dropout(self, seed: int) -> None:
        """Start the dropout's random numbers anew."""
        weights = {id(own) for own in self._model.weights}
        for own in self._model.variables:
            if id(own) not in weights:
                own.assign(np.array([seed, 0], dtype="uint32").astype(own.dtype))

    def step(
        self, crops_rgb: Images, draws: Tensor, labels: npt.NDArray[np.int64], weights: Tensor
    ) -> float:
        """One step of the optimizer.

        Args:
            crops_rgb: uint8 (B, S, S, 3).
            draws: float32 (B, 6), how each is shown; see `augmentation.draw_rows`.
            labels: (B,); 1 is fake.
            weights: float32 (B,), of the frames; 0 where a row only fills the batch up.

        Returns:
            The sum of the frames' losses before it.
        """
        targets = labels.astype(np.float32)[:, None]
        loss: Any = self._model.train_on_batch([crops_rgb, draws], targets, weights)
        return float(np.ravel(loss)[0]) * len(labels)  # Keras divides by the rows of the batch

    def features(self, crops_rgb: Images) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        features = np.empty((len(crops_rgb), self.row.width), dtype=np.float32)
        for start in range(0, len(crops_rgb), self.batch):
            batch = crops_rgb[start : start + self.batch]
            shown = filled_up(batch, self.batch)
            features[start : start + len(batch)] = np.asarray(
                self._features.predict_on_batch(shown), dtype=np.float32
            )[: len(batch)]
        return features

    @property
    def network(self) -> Network:
        """The head as the sequence model that judges by the CNN's features; a copy."""
        tensors = {
            own.path: np.array(load_keras().ops.convert_to_numpy(own), dtype=np.float32)
            for own in self.head.weights
        }
        return unscaled(self.model_config, self.row.width, tensors)

    def save_cnn(self, path: Path) -> None:
        """Write the CNN's weights to a file of their own; see `tuned.write`."""
        finetuned_weights.write(path, self._name, self.row.crop_size, self._cnn.get_weights())

    @property
    def weights(self) -> list[npt.NDArray[np.float32]]:
        """A copy of all weights of CNN and head; `weights = …` puts them back."""
        return [np.array(own) for own in self._model.get_weights()]

    @weights.setter
    def weights(self, values: list[npt.NDArray[np.float32]]) -> None:
        self._model.set_weights(values)

    @property
    def optimizer_state(self) -> list[npt.NDArray[Any]]:
        """A copy of what the optimizer of this phase has gathered."""
        to_numpy = load_keras().ops.convert_to_numpy
        return [np.array(to_numpy(own)) for own in self._model.optimizer.variables]

    @optimizer_state.setter
    def optimizer_state(self, values: list[npt.NDArray[Any]]) -> None:
        for own, value in zip(self._model.optimizer.variables, values, strict=True):
            own.assign(value)

    def _maps(self, images: Any) -> Any:
        return self._cnn(preprocess(images, self.row.inputs), training=False)

    def _start_head(self) -> None:
        start = initial_weights(self.model_config, self.row.width, self._seed)
        for own in self.head.weights:
            own.assign(start[own.path])


def build_head(name: str, shape: tuple[int, int, int], dropout: float) -> Any:
    """What the paper puts behind the CNN, in float32: a `keras.Model` from maps to one logit.

    `dense` is GAP → 256 → 128 → 64 (ReLU) → 1. `attention` is GAP → W, sigmoid → times the map,
    channel by channel → GAP → 1. The sigmoid of the logit is the probability of fake; before the
    last layer there is dropout.

    Args:
        name: A key of `config.HEADS`.
        shape: (h, w, D) of the CNN's last map.
        dropout: Its rate.
    """
    keras = load_keras()
    layers = keras.layers

    maps = keras.Input(shape, dtype="float32")
    x = layers.GlobalAveragePooling2D(dtype="float32")(maps)
    if name == "dense":
        for units in FRAME_UNITS:
            x = layers.Dense(units, activation="relu", name=f"dense_{units}", dtype="float32")(x)
    else:
        share = layers.Dense(shape[-1], activation="sigmoid", name="attention", dtype="float32")(x)
        attended = maps * keras.ops.reshape(share, (-1, 1, 1, shape[-1]))
        x = layers.GlobalAveragePooling2D(dtype="float32")(attended)
    x = layers.Dropout(dropout, dtype="float32")(x)
    return keras.Model(maps, layers.Dense(1, name="frame_logit", dtype="float32")(x), name="head")


def filled_up(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """The rows with zeros behind them: another number of rows would be traced anew."""
    missing = count - len(rows)
    if not missing:
        return rows
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])


def input_row(name: str, row: Backbone, size: int) -> Backbone:
    """The row of a CNN with another input size, if one is asked for.

    Raises:
        UsageError: It is too small for this CNN.
    """
    from dataclasses import replace

    if size and size < row.smallest:
        raise UsageError(
            f"{name} takes images of {row.smallest} pixels or more. Received: --input-size {size}"
        )
    return replace(row, crop_size=size) if size else row


def _precision(wanted: str) -> str:
    """What is computed in, where nobody says it: bfloat16 on a GPU, which needs no loss scaling."""
    if wanted != AUTO:
        return wanted
    return "bfloat16" if has_gpu() else "float32"
