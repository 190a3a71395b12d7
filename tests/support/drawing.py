"""Hypothesis strategies and images for the tests of augmentation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from deepfake_seq.augment import Draw

Image = npt.NDArray[np.uint8]

seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 70), min_size=1, max_size=4)


@st.composite
def draws(draw: st.DrawFn) -> Draw:
    """Draw the parameters of a view, also beyond the ranges of `draw_view`."""
    side = draw(st.floats(0.05, 1))
    inside = st.floats(0, 1 - side)
    return Draw(
        draw(inside),
        draw(inside),
        side,
        draw(st.booleans()),
        draw(st.floats(0, 3)),
        draw(st.floats(-1, 1)),
    )


def noise(seed: int, sizes: list[int]) -> list[Image]:
    """Return images of random noise."""
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in sizes]


def same(ones: list[Image], others: list[Image]) -> bool:
    """Return whether all images are equal."""
    return all(np.array_equal(*pair) for pair in zip(ones, others, strict=True))
