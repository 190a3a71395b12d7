"""Find the int8 ranges of a CNN or a detector with NNCF, from faces.

Run as a separate program, because NNCF imports much that is needed only here::

    python -m deepfake_seq.extract.calibration.nncf_program NAME NETWORK SHA256 COUNT OUT

SHA256 is the digest of the weights, COUNT the number of images.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from deepfake_seq.backend import load_openvino
from deepfake_seq.config import RETINAFACES
from deepfake_seq.extract.backbones.quantize import (
    CONVOLUTIONS,
    LEVELS,
    bias_of,
    bias_values,
    numbered,
    prepare,
)
from deepfake_seq.extract.backbones.ranges import (
    Kernel,
    Quantizer,
    Ranges,
    encode_ranges,
    rounded_shift,
    rounded_step,
)
from deepfake_seq.extract.calibration.crops import CROPS, crops
from deepfake_seq.extract.calibration.frames import FRAMES, frames
from deepfake_seq.extract.evidence.residual import residual_image
from deepfake_seq.extract.faces import resize_square
from deepfake_seq.extract.faces.detectors import detector_network
from deepfake_seq.face_regions import region_weights

Positions = dict[str, tuple[str, int]]
"""Image input and number of each operation, by its name; see `quantize.numbered`."""


def main(name: str, network: str, weights_sha256: str, count: str, target: str) -> None:
    """Write the ranges of a network.

    Args:
        name: Name of the CNN or detector.
        network: Path of the float32 network: of a CNN with all outputs in OpenVINO's format, of a
            detector its weights file.
        weights_sha256: Digest of the weights.
        count: Number of crops or frames to use.
        target: Path of the file to write.
    """
    if name in RETINAFACES:
        model, quantized = detector_network(name, Path(network)), quantized_detector
    else:
        model, quantized = load_openvino().Core().read_model(network), quantized_cnn
    prepare(model)
    ranges = ranges_of(model, quantized(model, int(count)), name, weights_sha256)
    Path(target).write_bytes(encode_ranges([ranges]))


def quantized_cnn(model: Any, count: int = CROPS) -> Any:
    """Return NNCF's int8 form of a prepared CNN with all outputs, from `count` crops."""
    import nncf

    return nncf.quantize(
        model,
        nncf.Dataset(list(_inputs(model, count))),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=count,
        # The averages of maps: a fraction of the work, and exact.
        ignored_scope=nncf.IgnoredScope(types=["MatMul"]),
    )


def quantized_detector(model: Any, count: int = FRAMES) -> Any:
    """Return NNCF's int8 form of the prepared network of a detector, from `count` frames.

    A range covers the values in all images: few of them show a face so large or so small that some
    layers see it at all, and an average over the images would cut off their values. NNCF's
    correction of biases is left out, because it moves the boxes further from those in float32.
    """
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    port = model.input(0)
    dtype = port.element_type.to_dtype()
    images = [frame[None].astype(dtype) for frame in islice(frames(), count)]
    return nncf.quantize(
        model,
        nncf.Dataset([{port.get_any_name(): image} for image in images]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=count,
        ignored_scope=nncf.IgnoredScope(names=_exact_convolutions(model)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            disable_bias_correction=True,
        ),
    )


def _exact_convolutions(model: Any) -> list[str]:
    """Return the names of a detector's convolutions that stay in float32.

    Those that give boxes, scores and landmarks, and depthwise ones: all are a small part of the
    work, and the boxes are closer to those in float32.
    """
    names = {
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "GroupConvolution"
    }
    stack = list(model.get_results())
    while stack:
        node = stack.pop()
        if node.get_type_name() in CONVOLUTIONS:
            names.add(node.get_friendly_name())
        else:
            stack += [value.get_node() for value in node.input_values()]
    return sorted(names)


def ranges_of(model: Any, rounded: Any, name: str, weights_sha256: str) -> Ranges:
    """Return the ranges that a network was rounded with.

    Args:
        model: The prepared float32 network.
        rounded: Its int8 form.
        name: Name of the CNN or detector.
        weights_sha256: Digest of its weights.
    """
    positions: Positions = {
        node.get_friendly_name(): (image, number)
        for image, nodes in numbered(model).items()
        for number, node in enumerate(nodes)
    }
    before = {node.get_friendly_name(): node for node in model.get_ops()}
    operations = rounded.get_ordered_ops()
    return Ranges(
        network=name,
        weights_sha256=weights_sha256,
        quantizers=_joined(
            _quantizer(node, positions)
            for node in operations
            if node.get_type_name() == "FakeQuantize"
        ),
        kernels=tuple(
            _kernel(node, before[node.get_friendly_name()], positions)
            for node in operations
            if node.get_type_name() in CONVOLUTIONS
            and node.input_value(1).get_node().get_type_name() == "Multiply"
        ),
    )


def _inputs(model: Any, count: int) -> Iterator[dict[str, Any]]:
    """Yield the inputs of a CNN with all outputs for each crop."""
    side = model.input("crops_rgb").shape[1]
    cells = tuple(model.input("region_weights").shape[2:])
    for square in islice(crops(), count):
        yield {
            "crops_rgb": resize_square(square, side)[None],
            "residuals": residual_image(square, side)[None],
            "region_weights": region_weights(None, len(square), cells)[None],
        }


def _quantizer(node: Any, positions: Positions) -> Quantizer:
    """Return a rounded tensor; readers after the maps are left out."""
    source = node.input_value(0).get_node()
    image, number = positions[source.get_friendly_name()]
    low, high = (np.ravel(node.input_value(port).get_node().data) for port in (1, 2))
    steps = (high.astype(np.float64) - low) / (LEVELS - 1)
    ports = node.output(0).get_target_inputs()
    readers = [(port.get_node().get_friendly_name(), port.get_index()) for port in ports]
    return Quantizer(
        image=image,
        source=number,
        kind=source.get_type_name(),
        readers=tuple((positions[name][1], port) for name, port in readers if name in positions),
        steps=tuple(rounded_step(float(step)) for step in steps),
        zeros=tuple(int(zero) for zero in np.rint(-low / steps)),
    )


def _joined(quantizers: Iterable[Quantizer]) -> tuple[Quantizer, ...]:
    """Join equal quantizers of the same tensor, and leave out those without readers."""
    readers: dict[Quantizer, set[tuple[int, int]]] = {}
    for quantizer in quantizers:
        alone = msgspec.structs.replace(quantizer, readers=())
        readers.setdefault(alone, set()).update(quantizer.readers)
    return tuple(
        msgspec.structs.replace(quantizer, readers=tuple(sorted(numbers)))
        for quantizer, numbers in readers.items()
        if numbers
    )


def _kernel(convolution: Any, before: Any, positions: Positions) -> Kernel:
    image, number = positions[convolution.get_friendly_name()]
    multiples = convolution.input_value(1).get_node().input_value(0).get_node()
    largest = int(np.abs(multiples.input_value(0).get_node().data.astype(int)).max())
    new, old = (
        0.0 if (bias := bias_of(node)) is None else np.ravel(bias_values(bias))
        for node in (convolution, before)
    )
    shifts = tuple(rounded_shift(float(shift)) for shift in np.atleast_1d(new - old))
    levels: Literal[128, 255] = 128 if largest <= 64 else 255
    return Kernel(image, number, levels, shifts if any(shifts) else ())


if __name__ == "__main__":
    main(*sys.argv[1:])
