"""What a CNN can compute in one pass: its pooled features, and averages of two inner maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_keras
from deepfake_seq.extract.backbones.table import Backbone, build_keras_model, preprocess
from deepfake_seq.face_regions import REGIONS

Inputs = Mapping[str, npt.NDArray[Any]]
"""The inputs of N faces by name, each with N rows:

`crops_rgb`
    uint8 (N, S, S, 3); the crops at the input size of the CNN.
`residuals`
    uint8 (N, S, S, 3); their noise residuals, as images.
`region_weights`
    float32 (N, 6, rows, columns); weights of the cells of the fine map in each face region.
"""

INPUTS_OF = {
    "features": ("crops_rgb",),
    "depths": ("crops_rgb",),
    "regions": ("crops_rgb", "region_weights"),
    "residual": ("residuals", "region_weights"),
}
"""Inputs of each output:

`features`
    The last map of the crop, averaged over all cells.
`depths`
    The late map of the crop, averaged over all cells.
`regions`
    The fine map of the crop, averaged over each face region.
`residual`
    The fine map of the residuals, averaged over each face region. The CNN ends there for them.
"""

OUTPUTS = tuple(INPUTS_OF)

IMAGES = ("crops_rgb", "residuals")
"""The inputs that are images."""


def inputs_of(outputs: Sequence[str]) -> list[str]:
    """Return the names of the inputs that some outputs are computed from."""
    return list(dict.fromkeys(name for output in outputs for name in INPUTS_OF[output]))


def whole(outputs: Sequence[str]) -> list[str]:
    """Return the outputs that an int8 network must have to compute some.

    OpenVINO rounds a map in another way if an output is made from it, so that the features would
    depend on which outputs are requested. A network with all outputs of the same image has the same
    maps, and takes 2 % more time.
    """
    images = {image for output in outputs for image in INPUTS_OF[output] if image in IMAGES}
    return [output for output in OUTPUTS if images & set(INPUTS_OF[output])]


def width_of(output: str, row: Backbone) -> int:
    """Return the number of values per face of an output."""
    in_regions = len(REGIONS) * row.fine_width
    widths = {"features": row.width, "depths": row.late_width}
    return widths.get(output, in_regions)


def build_outputs(
    row: Backbone, weights: Path | None, outputs: Sequence[str], *, takes_bytes: bool = True
) -> Any:
    """Build a Keras model of a CNN with the requested outputs, float32 (N, width) each.

    Args:
        row: The CNN and the side of its input.
        weights: See `build_keras_model`.
        outputs: Names of the outputs, in this order.
        takes_bytes: Whether the images are uint8; if not, `preprocess` is left out.

    Returns:
        A `keras.Model`; its inputs are those of `inputs_of`, by name.

    Raises:
        WeightsError: The file does not contain this network's weights.
    """
    keras = load_keras()
    cnn = build_keras_model(row, weights)
    last, late, fine = (
        cnn.output, cnn.get_layer(row.late_layer).output, cnn.get_layer(row.fine_layer).output
    )  # fmt: skip
    dtype = "uint8" if takes_bytes else "float32"
    inputs = {name: keras.Input(cnn.input_shape[1:], dtype=dtype, name=name) for name in IMAGES}
    inputs["region_weights"] = keras.Input((len(REGIONS), *_cells(fine)), name="region_weights")
    images = {
        name: preprocess(inputs[name], row.inputs) if takes_bytes else inputs[name]
        for name in IMAGES
    }
    # Of all this, the returned model computes only what its outputs need.
    features, late, fine_of_crop = keras.Model(cnn.input, [last, late, fine])(images["crops_rgb"])
    fine_of_residual = keras.Model(cnn.input, fine)(images["residuals"])
    everywhere = np.full((1, 1, *_cells(late)), 1 / np.prod(_cells(late)), dtype=np.float32)
    computed = {
        "features": features,
        "depths": _averages(late, everywhere),
        "regions": _averages(fine_of_crop, inputs["region_weights"]),
        "residual": _averages(fine_of_residual, inputs["region_weights"]),
    }
    return keras.Model(
        {name: inputs[name] for name in inputs_of(outputs)}, [computed[name] for name in outputs]
    )


def _averages(maps: Any, weights: Any) -> Any:
    """Average maps with weights (N or 1, R, rows, columns): (N, R × C).

    This is a matrix product even if all weights are equal: OpenVINO computes up to the last
    convolution or matrix product before an output in the requested precision, and the rest in
    float32. With another operation here, the layers around a map would be computed in float32, and
    the features that depend on them would depend on which outputs are requested.
    """
    keras = load_keras()
    ops = keras.ops
    cells, regions = int(np.prod(_cells(maps))), weights.shape[1]
    flat = ops.cast(maps, "float32")
    if keras.config.image_data_format() == "channels_first":
        channels = maps.shape[1]
        flat = ops.transpose(ops.reshape(flat, (-1, channels, cells)), (0, 2, 1))
    else:
        channels = maps.shape[-1]
        flat = ops.reshape(flat, (-1, cells, channels))
    means = ops.matmul(ops.reshape(weights, (-1, regions, cells)), flat)
    return ops.reshape(means, (-1, regions * channels))


def _cells(maps: Any) -> tuple[int, int]:
    """Return the number of rows and columns of a feature map."""
    if load_keras().config.image_data_format() == "channels_first":
        return maps.shape[2], maps.shape[3]
    return maps.shape[1], maps.shape[2]
