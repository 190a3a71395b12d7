"""Draw the face regions, docs/images/regions.png: `python docs/make_region_picture.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse, Patch

from deepfake_seq.face_regions import FIXED_LANDMARKS, REGIONS, region_shares

TARGET = Path(__file__).parent / "images" / "regions.png"
CELLS = 35
FINE = 350
COLOURS = dict(
    zip(REGIONS, ("#1f77b4", "#9467bd", "#d62728", "#f2c38b", "#2ca02c", "#c9c9c9"), strict=True)
)
ASIDE = np.array([[0.66, 0.4], [0.7, 0.4], [0.83, 0.56], [0.62, 0.69], [0.67, 0.69]])

Landmarks = npt.NDArray[np.float64]


def main() -> None:
    """Write the picture."""
    faces = {
        "frontal": FIXED_LANDMARKS,
        "tilted, smaller": _turned(FIXED_LANDMARKS, 25, 0.75),
        "looking aside": ASIDE,
        "partly outside the crop": _turned(FIXED_LANDMARKS, -10, 1.1) + np.array([-0.3, 0.12]),
    }
    figure, axes = plt.subplots(1, len(faces), figsize=(12, 3.6), layout="constrained")
    for axis, (name, landmarks) in zip(axes, faces.items(), strict=True):
        _draw(axis, landmarks)
        axis.set_title(name, fontsize=11)
    handles = [Patch(facecolor=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(REGIONS), frameon=False)
    figure.savefig(TARGET, dpi=100, metadata={"Software": None})


def _turned(landmarks: Landmarks, degrees: float, scale: float) -> Landmarks:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = scale * np.array([[cos, -sin], [sin, cos]])
    return np.asarray((landmarks - 0.5) @ turn.T + 0.5)


def _draw(axis: Any, landmarks: Landmarks) -> None:
    """Colour each point by its shares of the regions; draw the cells, landmarks and a face."""
    shares = region_shares(landmarks, 1.0, (FINE, FINE))
    colours = np.array([to_rgb(COLOURS[name]) for name in REGIONS])
    axis.imshow(np.einsum("rhw,rc->hwc", shares, colours).clip(0, 1), extent=(0, 1, 1, 0))
    for place in np.arange(1, CELLS) / CELLS:
        axis.axhline(place, color="white", linewidth=0.25)
        axis.axvline(place, color="white", linewidth=0.25)
    _draw_face(axis, landmarks)
    axis.plot(*landmarks.T, "o", color="black", markersize=3.5)
    axis.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])


def _draw_face(axis: Any, landmarks: Landmarks) -> None:
    """Draw the outlines of eyes, nose, mouth and head around the landmarks."""
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down, across = mouth - eyes, right_eye - left_eye
    unit = max(np.hypot(*down), np.hypot(*across))
    tilt = np.degrees(np.arctan2(-down[0], down[1]))
    line = {"fill": False, "color": "black", "linewidth": 1.2}
    narrow = np.hypot(*across) / unit
    for eye in (left_eye, right_eye):
        axis.add_patch(Ellipse(eye, (0.1 + 0.35 * narrow) * unit, 0.2 * unit, angle=tilt, **line))
    aside = nose - (eyes + mouth) / 2
    head = (eyes + mouth) / 2 - 0.7 * np.array([aside[0], 0.0]) * (narrow < 0.5)
    axis.add_patch(Ellipse(head, 1.85 * unit, 2.4 * unit, angle=tilt, **line))
    axis.plot(*np.array([eyes, nose, nose - 0.12 * aside]).T, color="black", linewidth=1.2)
    axis.plot(*np.array([left_mouth, mouth + 0.08 * down, right_mouth]).T, color="black")


if __name__ == "__main__":
    main()
