"""Many images through a network at a time; the outputs come in the order of the images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq.backend import load_openvino
from deepfake_seq.extract.backbones.openvino_cpu import (
    ParallelRequests,
    compile_for_throughput,
)

Images = Iterator[list[npt.NDArray[np.float32]]]


@pytest.fixture
def doubling() -> ParallelRequests:
    """A network with the outputs 2x and x + 1."""
    openvino = load_openvino()
    from openvino import opset13

    image = opset13.parameter([1, 3], np.float32)
    outputs = [opset13.multiply(image, np.float32(2)), opset13.add(image, np.float32(1))]
    model = openvino.Model(outputs, [image], "doubling")
    return ParallelRequests(compile_for_throughput(openvino.Core(), model, "float32"))


def images(count: int) -> Images:
    return ([np.full((1, 3), number, dtype=np.float32)] for number in range(count))


@pytest.mark.parametrize("count", [0, 1, 100])
def test_outputs_come_in_the_order_of_the_images(doubling: ParallelRequests, count: int) -> None:
    values = [[float(out[0, 0]) for out in outputs] for outputs in doubling.outputs(images(count))]
    assert values == [[2.0 * number, number + 1.0] for number in range(count)]


def test_an_iteration_that_is_given_up_does_not_disturb_the_next(
    doubling: ParallelRequests,
) -> None:
    for outputs in doubling.outputs(images(100)):
        assert outputs[0][0, 0] == 0
        break
    again = [float(outputs[0][0, 0]) for outputs in doubling.outputs(images(50))]
    assert again == [2.0 * number for number in range(50)]


def test_an_error_of_the_images_is_raised_and_does_not_disturb_the_next(
    doubling: ParallelRequests,
) -> None:
    def broken() -> Images:
        yield from images(3)
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        list(doubling.outputs(broken()))
    assert len(list(doubling.outputs(images(9)))) == 9
