"""Build the int8 form of a network from its float32 form and the ranges of its values."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_openvino
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.backbones.ranges import Kernel, Quantizer, Ranges

VERSION = 2
"""Must be increased when a change of this module changes the networks."""

LEVELS = 256

_AFTER_MAPS = {"Result", "Reshape", "MatMul", "Transpose", "ReduceMean", "Convert"}
"""Operations between the maps of a CNN and its outputs; see `outputs.build_outputs`."""

_NOT_AN_IMAGE = "region_weights"
"""The only input of a network that is no image; see `outputs.INPUTS_OF`."""

CONVOLUTIONS = ("Convolution", "GroupConvolution")


def prepare(model: Any) -> None:
    """Fold constants and batch norms of a network into its convolutions, in place.

    Max pooling gets one output in place of two: OpenVINO 2026.4 cannot round the first of two.

    Args:
        model: An `openvino.Model`.
    """
    load_openvino()
    # Not public, but NNCF, which finds the ranges, uses it in the same way.
    transformations = import_module("openvino._offline_transformations")
    transformations.apply_moc_transformations(model, cf=True)
    for node in model.get_ops():
        if node.get_type_name() == "MaxPool":
            node.output(0).replace(_max_pool(node).output(0))


def _max_pool(node: Any) -> Any:
    """Return the same max pooling with one output."""
    names = ("strides", "pads_begin", "pads_end", "kernel", "rounding_type", "auto_pad")
    attributes = node.get_attributes()
    pool = load_openvino().opset1.max_pool(
        node.input_value(0), *(attributes[name] for name in names)
    )
    pool.set_friendly_name(node.get_friendly_name())
    return pool


def numbered(model: Any) -> dict[str, list[Any]]:
    """Return the operations between each image input and the maps that the outputs are made from.

    The order depends only on how the maps are computed: operations are listed after their inputs,
    and the first input of an operation comes before the second. The list of a network that ends at
    an earlier map, through which all later ones are computed, is the beginning of the longer list.

    Args:
        model: A prepared network: a CNN with the inputs of `outputs.INPUTS_OF`, or a detector.

    Returns:
        The operations (`openvino.Node`) by name of the image input.
    """
    maps = {}
    for result in model.get_results():
        node = result
        while node.get_type_name() in _AFTER_MAPS:
            node = _image_input(node)
        maps[node.get_friendly_name()] = node
    images = {
        port.get_node().get_friendly_name(): port.get_any_name()
        for port in model.inputs
        if port.get_any_name() != _NOT_AN_IMAGE
    }
    order: dict[str, Any] = {}
    origin: dict[str, str] = {}
    # The last map comes last: all others are computed on the way to it.
    stack = list(maps.values())
    while stack:
        node = stack[-1]
        inputs = [value.get_node() for value in node.input_values()]
        missing = [parent for parent in inputs if parent.get_friendly_name() not in order]
        if missing:
            stack.append(missing[0])
            continue
        stack.pop()
        name = node.get_friendly_name()
        order[name] = node
        known = [origin[parent.get_friendly_name()] for parent in inputs]
        origin[name] = images.get(name, "") or next(filter(None, known), "")
    return {
        image: [node for name, node in order.items() if origin[name] == image]
        for image in images.values()
    }


def _image_input(node: Any) -> Any:
    """Return the operation before a node on the path from an image, not from `region_weights`."""
    inputs = [value.get_node() for value in node.input_values()]
    return next(parent for parent in reversed(inputs) if _depends_on_image(parent))


def _depends_on_image(node: Any) -> bool:
    stack, seen = [node], set()
    while stack:
        node = stack.pop()
        if node.get_type_name() == "Parameter" and node.output(0).get_any_name() != _NOT_AN_IMAGE:
            return True
        if node.get_friendly_name() not in seen:
            seen.add(node.get_friendly_name())
            stack += [value.get_node() for value in node.input_values()]
    return False


def quantize(model: Any, ranges: Ranges) -> None:
    """Turn a float32 network into its int8 form, in place.

    The averages of maps read the exact values, not the rounded ones. Ranges of parts that the
    network lacks are not used.

    Args:
        model: An `openvino.Model`: a CNN with the outputs of `outputs.whole`, or a detector.
        ranges: Ranges of the network, of a CNN with all outputs.

    Raises:
        EngineError: The ranges belong to another network.
    """
    prepare(model)
    operations = numbered(model)
    try:
        for kernel in ranges.kernels:
            if kernel.number < len(operations.get(kernel.image, ())):
                _round_weights(operations[kernel.image][kernel.number], kernel)
        for quantizer in ranges.quantizers:
            _round_tensor(operations.get(quantizer.image, ()), quantizer)
    except (ValueError, IndexError) as error:
        raise EngineError(
            f"the int8 ranges do not fit this {ranges.network}: {error}. They were made by "
            "another version of deepseq or of a library. Extract again into a new store."
        ) from error
    model.validate_nodes_and_infer_types()


def rounded_weights(
    weights: npt.NDArray[np.float32], levels: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Round the weights of a convolution.

    Args:
        weights: float32; the first axis is that of the output channels.
        levels: 128 for multiples of a step from -63 to 63, 255 for -127 to 127.

    Returns:
        The multiples, int8, and the steps, float32 (C, 1, …): their product is about `weights`.
    """
    axes = tuple(range(1, weights.ndim))
    steps = 2 * np.abs(weights).max(axis=axes, keepdims=True) / np.float32(levels - 1)
    steps = np.maximum(steps, np.finfo(np.float32).tiny)
    largest = (levels - 1) // 2
    multiples = np.clip(np.rint(weights / steps), -largest, largest)  # also of -largest - 0.5
    return multiples.astype(np.int8), steps.astype(np.float32)


def _round_weights(convolution: Any, kernel: Kernel) -> None:
    ops = load_openvino().opset13
    if convolution.get_type_name() not in CONVOLUTIONS:
        raise ValueError(f"operation {kernel.number} is {convolution.get_type_name()}")
    weights = convolution.input_value(1).get_node().data
    shape = weights.shape
    channels = int(np.prod(shape[:-3]))  # with groups: their number times the channels of each
    values, steps = rounded_weights(weights.reshape(channels, -1), kernel.levels)
    step_shape = (*shape[:2], 1, 1, 1) if len(shape) == 5 else (channels, 1, 1, 1)
    product = ops.multiply(
        ops.convert(ops.constant(values.reshape(shape)), "f32"),
        ops.constant(steps.reshape(step_shape)),
    )
    convolution.input(1).replace_source_output(product.output(0))
    if kernel.shifts:
        _shift_outputs(convolution, kernel, channels)


def _shift_outputs(convolution: Any, kernel: Kernel, channels: int) -> None:
    ops = load_openvino().opset13
    if len(kernel.shifts) != channels:
        raise ValueError(f"operation {kernel.number} has {channels} channels")
    shifts = np.array(kernel.shifts, dtype=np.float32).reshape(1, channels, 1, 1)
    bias = bias_of(convolution)
    if bias is not None:
        bias.input(1).replace_source_output(ops.constant(bias_values(bias) + shifts).output(0))
        return
    ports = convolution.output(0).get_target_inputs()
    shifted = ops.add(convolution, ops.constant(shifts))
    for port in ports:
        port.replace_source_output(shifted.output(0))


def bias_of(convolution: Any) -> Any:
    """Return the operation that adds the bias to the output of a convolution; None without one."""
    for port in convolution.output(0).get_target_inputs():
        node = port.get_node()
        if node.get_type_name() == "Add" and _is_constant(node.input_value(1).get_node()):
            return node
    return None


def bias_values(addition: Any) -> npt.NDArray[np.float32]:
    """Return the values that a result of `bias_of` adds."""
    return np.asarray(addition.input_value(1).get_node().data, dtype=np.float32)


def _is_constant(node: Any) -> bool:
    return bool(node.get_type_name() == "Constant")


def _round_tensor(nodes: Sequence[Any], quantizer: Quantizer) -> None:
    ops = load_openvino().opset13
    readers = [(nodes[number], port) for number, port in quantizer.readers if number < len(nodes)]
    if not readers:
        return
    source = nodes[quantizer.source]
    if source.get_type_name() != quantizer.kind:
        raise ValueError(f"operation {quantizer.source} is {source.get_type_name()}")
    steps, zeros = np.array(quantizer.steps), np.array(quantizer.zeros)
    if steps.shape != zeros.shape:
        raise ValueError(f"operation {quantizer.source} has as many steps as zeros")
    shape = (1, len(steps), 1, 1) if len(steps) > 1 else ()
    low, high = (
        ops.constant((steps * (level - zeros)).astype(np.float32).reshape(shape))
        for level in (0, LEVELS - 1)
    )
    rounded = ops.fake_quantize(source, low, high, low, high, LEVELS).output(0)
    for node, port in readers:
        if node.input_value(port).get_node().get_friendly_name() != source.get_friendly_name():
            raise ValueError(f"operation {quantizer.source} is not read there")
        node.input(port).replace_source_output(rounded)
