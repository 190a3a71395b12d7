"""The table of CNNs, their preprocessing, and building one with its weights."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.backend import load_keras
from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.weights import digest_of

UNTRAINED_SEED = 0
UNTRAINED_ID = f"untrained:seed={UNTRAINED_SEED}"


def weights_id(weights: Path | None) -> str:
    """Return the digest of a weights file; the id of untrained weights for None."""
    return digest_of(weights) if weights else UNTRAINED_ID


@dataclass(frozen=True)
class Backbone:
    """A CNN without its classifier, with global average pooling.

    Attributes:
        application: Import path of the function that builds it, with the signature of those in
            `keras.applications`.
        crop_size: Side of its square input, in pixels.
        width: Number of features, D.
        inputs: Range and channel order of its input: `tf` is RGB in [-1, 1]; `caffe` is BGR minus
            the ImageNet means; `raw` is RGB in [0, 255].
        smallest: Smallest side of an input, in pixels.
        unfreeze: Default number of layers that finetuning unfreezes, counted from the last one;
            0 means all.
        fine_layer: Layer with the last map of about an eighth of the input's side. It must come
            after the activation: OpenVINO joins a convolution and what follows up to there, and the
            features would have other bits if an output ended in between.
        fine_width: Number of its channels.
        late_layer: Layer with the last map of about a sixteenth of the input's side; as above.
        late_width: Number of its channels.
    """

    application: str
    crop_size: int
    width: int
    inputs: str
    smallest: int
    unfreeze: int
    fine_layer: str
    fine_width: int
    late_layer: str
    late_width: int


BACKBONE_TABLE = {
    "inception_v3": Backbone(
        application="keras.applications.InceptionV3",
        crop_size=299,
        width=2048,
        inputs="tf",
        smallest=75,
        unfreeze=62,  # the last two inception blocks, as in Keras's guide to its applications
        fine_layer="mixed2",  # 35×35
        fine_width=288,
        late_layer="mixed7",  # 17×17
        late_width=768,
    ),
    "vgg16": Backbone(
        application="keras.applications.VGG16",
        crop_size=224,
        width=512,
        inputs="caffe",
        smallest=32,
        unfreeze=0,
        # A block of VGG16 ends with its pooling; the convolutions after it belong to the next one.
        fine_layer="block3_pool",  # 28×28
        fine_width=256,
        late_layer="block4_pool",  # 14×14
        late_width=512,
    ),
    "resnet50": Backbone(
        application="keras.applications.ResNet50",
        crop_size=224,
        width=2048,
        inputs="caffe",
        smallest=32,
        unfreeze=32,  # the last of its four stages
        fine_layer="conv3_block4_out",  # 28×28
        fine_width=512,
        late_layer="conv4_block6_out",  # 14×14
        late_width=1024,
    ),
    "efficientnet_b1": Backbone(
        application="keras.applications.EfficientNetB1",
        crop_size=240,
        width=1280,
        inputs="raw",
        smallest=32,
        unfreeze=80,
        # A block of EfficientNet ends with few channels and no activation, whose average says
        # little; the next block starts by expanding them at the same size.
        fine_layer="block4a_expand_activation",  # 30×30
        fine_width=240,
        late_layer="block6a_expand_activation",  # 15×15
        late_width=672,
    ),
}

CAFFE_MEANS_BGR = np.array([103.939, 116.779, 123.68], dtype=np.float32)
"""The ImageNet means of Keras's `imagenet_utils.preprocess_input`, mode "caffe"."""


def preprocess(images_rgb: Any, inputs: str) -> Any:
    """Scale images like Keras's `preprocess_input`, on any backend, also as part of a network.

    Args:
        images_rgb: uint8 (N, S, S, 3); an array, or a symbolic tensor.
        inputs: `Backbone.inputs`.

    Returns:
        float32 (N, S, S, 3).
    """
    ops = load_keras().ops
    images = ops.cast(images_rgb, "float32")
    if inputs == "tf":
        return images / 127.5 - 1.0
    if inputs == "caffe":
        return ops.flip(images, axis=-1) - CAFFE_MEANS_BGR
    return images


def backbone_of(name: str, weights: Path | None) -> Backbone:
    """Return the `BACKBONE_TABLE` row of a CNN, with the input size of a finetuned weights file.

    Args:
        name: A key of `BACKBONE_TABLE`.
        weights: Path of the weights file, or None.

    Raises:
        WeightsError: The file belongs to another finetuned CNN.
    """
    row = BACKBONE_TABLE[name]
    if weights is None or not finetuned_weights.is_finetuned(weights):
        return row
    backbone, crop_size = finetuned_weights.describe(weights)
    if backbone != name or crop_size < row.smallest:
        raise WeightsError(
            f"{weights} is not a finetuned {name} with inputs of {row.smallest} pixels or more. "
            f"Received: {backbone} with {crop_size} pixels"
        )
    return replace(row, crop_size=crop_size)


def build_keras_model(row: Backbone, weights: Path | None, *, pooling: str | None = "avg") -> Any:
    """Build the Keras model, on the active backend and image data format.

    Args:
        row: The CNN and the side of its input.
        weights: Path of a weights file of this architecture without its top; None for seeded random
            weights, the same on every backend.
        pooling: `avg` for features (N, D); None for the last feature map, (N, h, w, D).

    Raises:
        WeightsError: The file does not contain this network's weights.
    """
    keras = load_keras()

    side = row.crop_size
    module, _, application = row.application.rpartition(".")
    channels_first = keras.config.image_data_format() == "channels_first"
    shape = (3, side, side) if channels_first else (side, side, 3)
    model = getattr(importlib.import_module(module), application)(
        weights=None, include_top=False, pooling=pooling, input_shape=shape
    )
    if weights is None:
        _fill_with_noise(model)
    elif finetuned_weights.is_finetuned(weights):
        model.set_weights(
            finetuned_weights.read(weights, [tuple(weight.shape) for weight in model.weights])
        )
    else:
        try:
            model.load_weights(weights)
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{weights} does not contain the weights of {application} without its top: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
    model.trainable = False
    return model


def _fill_with_noise(model: Any) -> None:
    """Set He-normal kernels (He et al., 2015) and neutral batch norms, from one NumPy generator."""
    generator = np.random.default_rng(UNTRAINED_SEED)
    values = []
    for variable in model.weights:
        shape, role = tuple(variable.shape), variable.path.rsplit("/", 1)[-1]
        if "kernel" in role:
            fan_in = int(np.prod(shape[:-1]))
            if "depthwise" in variable.path:
                fan_in = int(np.prod(shape[:2]))
            noise = generator.standard_normal(shape, dtype=np.float32)
            values.append(noise * np.float32(np.sqrt(2.0 / fan_in)))
        elif role == "gamma" and "_3_bn" in variable.path:
            # The last batch norm of a ResNet block: small, so that 16 blocks do not overflow.
            values.append(np.full(shape, 0.1, dtype=np.float32))
        elif "gamma" in role or "variance" in role:
            values.append(np.ones(shape, dtype=np.float32))
        else:
            values.append(np.zeros(shape, dtype=np.float32))
    model.set_weights(values)
