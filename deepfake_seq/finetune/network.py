"""A CNN with a classification head, in Keras, with frozen and trainable layers."""

from __future__ import annotations

from dataclasses import replace
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
    """A `CnnRuntime` whose weights `step` trains.

    The CNN always runs in inference mode: its batch normalisations keep their statistics and scales
    whichever layers are unfrozen, and its dropout layers are inactive.

    Args:
        backbone: Name and weights of the CNN.
        row: Table row of the CNN, with the requested input size.
        weights: Path of its weights file; None for random, seeded weights.
        config: Settings of the head and of the training.
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
        images = keras.ops.cast(crops, "float32")
        maps = self._maps(build_augmentation()([images, draws]))
        self.head = build_head(config.head, maps.shape[1:], config.dropout)
        self._model = keras.Model([crops, draws], self.head(maps))
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(self._maps(images))
        self._features = keras.Model(crops, pooled)
        self._start_head()

    @property
    def layers(self) -> int:
        """Number of layers of the CNN."""
        return len(self._cnn.layers)

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters of the CNN and its head: `total`, and `trainable` in this phase."""
        trainable = self._model.trainable_variables
        return {
            "total": int(self._model.count_params()),
            "trainable": sum(int(np.prod(variable.shape)) for variable in trainable),
        }

    @property
    def computed(self) -> str:
        """Keras backend and precision of the training, such as `tensorflow float32`."""
        return f"{load_keras().backend.backend()} {self.precision}"

    def begin_phase(self, unfrozen: int, learning_rate: float) -> None:
        """Unfreeze the last layers of the CNN, and create an optimizer.

        Batch normalisations always stay frozen.

        Args:
            unfrozen: Number of layers to train, counted from the last one.
            learning_rate: Learning rate of Adam.
        """
        keras = load_keras()

        self._cnn.trainable = True
        for number, layer in enumerate(reversed(self._cnn.layers)):
            frozen = number >= unfrozen or isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = not frozen
        optimizer = keras.optimizers.Adam(learning_rate)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        if self.precision == "float16":  # small gradients would underflow to zero
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        compiled = "auto" if keras.backend.backend() != "tensorflow" else has_gpu()
        self._model.compile(optimizer=optimizer, loss=loss, jit_compile=compiled)
        self._model.optimizer.build(self._model.trainable_variables)

    def seed_dropout(self, seed: int) -> None:
        """Reset the random state of the dropout."""
        weights = {id(variable) for variable in self._model.weights}
        for variable in self._model.variables:
            if id(variable) not in weights:
                variable.assign(np.array([seed, 0], dtype="uint32").astype(variable.dtype))

    def step(
        self, crops_rgb: Images, draws: Tensor, labels: npt.NDArray[np.int64], weights: Tensor
    ) -> float:
        """Take one step of the optimizer.

        Args:
            crops_rgb: uint8 (B, S, S, 3); crops.
            draws: float32 (B, 6); augmentation of each crop; see `augmentation.draw_rows`.
            labels: (B,); 1 = fake, 0 = real.
            weights: float32 (B,); weight of each frame; 0 for padding rows.

        Returns:
            Sum of the frames' weighted losses before the step.
        """
        targets = labels.astype(np.float32)[:, None]
        loss: Any = self._model.train_on_batch([crops_rgb, draws], targets, weights)
        return float(np.ravel(loss)[0]) * len(labels)  # Keras averages over the rows of the batch

    def features(self, crops_rgb: Images) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        features = np.empty((len(crops_rgb), self.row.width), dtype=np.float32)
        for start in range(0, len(crops_rgb), self.batch):
            batch = crops_rgb[start : start + self.batch]
            computed = self._features.predict_on_batch(pad_rows(batch, self.batch))
            features[start : start + len(batch)] = np.asarray(computed, dtype=np.float32)[
                : len(batch)
            ]
        return features

    @property
    def network(self) -> Network:
        """Copy of the head, as a sequence model of the CNN's features."""
        to_numpy = load_keras().ops.convert_to_numpy
        tensors = {
            variable.path: np.array(to_numpy(variable), dtype=np.float32)
            for variable in self.head.weights
        }
        return unscaled(self.model_config, self.row.width, tensors)

    def save_cnn(self, path: Path) -> None:
        """Write the weights of the CNN to a file; see `finetuned_weights.write`."""
        finetuned_weights.write(path, self._name, self.row.crop_size, self._cnn.get_weights())

    @property
    def weights(self) -> list[npt.NDArray[np.float32]]:
        """Copies of all weights of CNN and head; assign them to restore the weights."""
        return [np.array(array) for array in self._model.get_weights()]

    @weights.setter
    def weights(self, values: list[npt.NDArray[np.float32]]) -> None:
        self._model.set_weights(values)

    @property
    def optimizer_state(self) -> list[npt.NDArray[Any]]:
        """Copies of the optimizer's variables; assign them to restore the optimizer."""
        to_numpy = load_keras().ops.convert_to_numpy
        return [np.array(to_numpy(variable)) for variable in self._model.optimizer.variables]

    @optimizer_state.setter
    def optimizer_state(self, values: list[npt.NDArray[Any]]) -> None:
        for variable, value in zip(self._model.optimizer.variables, values, strict=True):
            variable.assign(value)

    def _maps(self, images: Any) -> Any:
        return self._cnn(preprocess(images, self.row.inputs), training=False)

    def _start_head(self) -> None:
        start = initial_weights(self.model_config, self.row.width, self._seed)
        for variable in self.head.weights:
            variable.assign(start[variable.path])


def build_head(name: str, shape: tuple[int, int, int], dropout: float) -> Any:
    """Build the paper's classification head in float32: a `keras.Model` from maps to one logit.

    `dense` is GAP → 256 → 128 → 64 (ReLU) → dropout → 1. `attention` scales each channel of the map
    by a weight, GAP → D (sigmoid), and is then GAP → dropout → 1. The sigmoid of the logit is the
    probability of fake.

    Args:
        name: A key of `config.HEADS`.
        shape: Shape (h, w, D) of the CNN's last map.
        dropout: Dropout rate, 0 to 1.
    """
    keras = load_keras()
    layers = keras.layers

    maps = keras.Input(shape, dtype="float32")
    x = layers.GlobalAveragePooling2D(dtype="float32")(maps)
    if name == "dense":
        for units in FRAME_UNITS:
            x = layers.Dense(units, activation="relu", name=f"dense_{units}", dtype="float32")(x)
    else:
        scale = layers.Dense(shape[-1], activation="sigmoid", name="attention", dtype="float32")(x)
        attended = maps * keras.ops.reshape(scale, (-1, 1, 1, shape[-1]))
        x = layers.GlobalAveragePooling2D(dtype="float32")(attended)
    x = layers.Dropout(dropout, dtype="float32")(x)
    return keras.Model(maps, layers.Dense(1, name="frame_logit", dtype="float32")(x), name="head")


def pad_rows(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Append rows of zeros up to `count`, because Keras traces each other batch size again."""
    missing = count - len(rows)
    if not missing:
        return rows
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])


def with_input_size(name: str, row: Backbone, size: int) -> Backbone:
    """Return the table row of a CNN with another input size, or unchanged if `size` is 0.

    Raises:
        UsageError: The size is too small for this CNN.
    """
    if size and size < row.smallest:
        raise UsageError(
            f"{name} needs images of at least {row.smallest} pixels. Received: --input-size {size}"
        )
    return replace(row, crop_size=size) if size else row


def _precision(requested: str) -> str:
    """Return the requested precision; by default bfloat16 on a GPU, which needs no loss scaling."""
    if requested != AUTO:
        return requested
    return "bfloat16" if has_gpu() else "float32"
