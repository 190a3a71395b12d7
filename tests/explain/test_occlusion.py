"""Which parts of a face speak for fake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from mean_model import mean_model

from deepfake_seq.augment import Crops
from deepfake_seq.augment.blending import apply_blend, draw_blend
from deepfake_seq.augment.masks import REACH, SIDE
from deepfake_seq.config import ModelConfig
from deepfake_seq.explain.occlusion import (
    CELLS,
    covered,
    occlusion,
    square_masks,
)
from deepfake_seq.extract.evidence import FaceCrop
from deepfake_seq.face_regions import FIXED_LANDMARKS
from deepfake_seq.sequence.models.networks import LogisticNetwork
from deepfake_seq.sequence.runs.run import SequenceModel

SIZE, GRID, FRAMES = 64, 16, 8
LANDMARKS = (FIXED_LANDMARKS * SIZE).astype(np.float32)
TELLING = (2, 5, 6)

Images = list[npt.NDArray[np.uint8]]


def cell_colours(crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return colour and detail of each cell of a grid: a CNN of one layer, (N, 1024)."""
    cells = crops_rgb.reshape(len(crops_rgb), GRID, SIZE // GRID, GRID, SIZE // GRID, 3)
    cells = cells.astype(np.float32) / 255
    detail = cells.std(axis=(2, 4)).mean(axis=-1, keepdims=True)
    return np.concatenate([cells.mean(axis=(2, 4)), detail], axis=-1).reshape(len(crops_rgb), -1)


def real_clip(seed: int) -> Crops:
    """Return frames of a face made of smooth noise."""
    generator = np.random.default_rng(seed)
    base = cv2.resize(generator.uniform(110, 140, (7, 7, 3)), (SIZE, SIZE))
    images = [base + generator.normal(0, 12, base.shape) for _ in range(FRAMES)]
    box = np.float32([8, 4, 56, 60])
    return Crops(
        [image.clip(0, 255).astype(np.uint8) for image in images],
        [box] * FRAMES,
        [LANDMARKS] * FRAMES,
    )


def forged_mouth(clip: Crops) -> Images:
    """Return the clip with its own mouth blended into it, moved and in other colours.

    The changes are the same for all clips, so that a linear model can learn them.
    """
    blend = draw_blend(np.random.default_rng(3))
    y, x = (np.indices((SIDE, SIDE)) + 0.5) * (2 * REACH / SIDE) - REACH
    mouth = (np.hypot(x / 0.55, (y - 0.5) / 0.3) < 1).astype(np.float32)
    return apply_blend(clip, replace(blend, mask=cv2.GaussianBlur(mouth, (9, 9), 0)))


def arrays_of(images: Images) -> Any:
    features = cell_colours(np.stack(images)).astype(np.float16)
    return features[None], np.ones((1, FRAMES), dtype=np.bool_)


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    """Logistic regression, trained to tell forged mouths from real clips."""
    from sklearn.linear_model import LogisticRegression

    clips = [real_clip(seed) for seed in range(24)]
    rows = [clip.images_rgb for clip in clips]
    rows += [forged_mouth(clip) for clip in clips]
    means = np.stack([arrays_of(images)[0][0].astype(np.float32).mean(axis=0) for images in rows])
    labels = np.repeat([0, 1], len(clips))
    fitted = LogisticRegression(C=1.0, max_iter=200).fit(means, labels)
    network = LogisticNetwork(
        "mean", fitted.coef_[0].astype(np.float32), fitted.intercept_.astype(np.float32)
    )
    return mean_model(config=ModelConfig("logistic"), members=(network,))


def explained(model: SequenceModel, images: Images) -> Any:
    faces = {row: FaceCrop(images[row], LANDMARKS) for row in TELLING}
    (found,) = occlusion(
        model,
        [(arrays_of(images), faces)],
        lambda crops: cell_colours(np.stack([crop.square_rgb for crop in crops])),
    )
    return found


def test_a_forged_mouth_is_named(model: SequenceModel) -> None:
    named = []
    for seed in range(100, 106):
        images = forged_mouth(real_clip(seed))
        maps, regions = explained(model, images)
        named.append(max(regions, key=regions.__getitem__))
        assert sorted(maps) == list(TELLING)
    assert named.count("mouth") >= 5


def test_the_map_is_strongest_at_the_forged_mouth(model: SequenceModel) -> None:
    total = np.zeros((CELLS, CELLS))
    for seed in range(100, 105):
        maps, _ = explained(model, forged_mouth(real_clip(seed)))
        total += np.sum([*maps.values()], axis=0)
    row, column = np.unravel_index(total.argmax(), total.shape)
    mouth = FIXED_LANDMARKS[3:].mean(axis=0)
    assert abs((row + 0.5) / CELLS - mouth[1]) < 1 / CELLS
    assert abs((column + 0.5) / CELLS - mouth[0]) < 1.5 / CELLS


def test_shuffled_weights_give_another_map(model: SequenceModel) -> None:
    images = forged_mouth(real_clip(100))
    (network,) = model.members
    weights, bias = network.tensors["logistic/weights"], network.tensors["logistic/bias"]
    shuffled = LogisticNetwork("mean", np.random.default_rng(0).permutation(weights), bias)
    maps, _ = explained(model, images)
    others, _ = explained(replace(model, members=(shuffled,)), images)
    one, other = (
        np.concatenate([values.ravel() for values in each.values()]) for each in (maps, others)
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_a_cover_has_neither_edges_nor_less_noise() -> None:
    crop = np.full((SIZE, SIZE, 3), 60, dtype=np.float32)
    crop[:, SIZE // 2 :] = 180
    crop = (crop + np.random.default_rng(0).normal(0, 8, crop.shape)).round().astype(np.uint8)
    cover = next(covered(crop, [np.ones((SIZE, SIZE), dtype=np.float32)]))
    steps = [
        np.abs(np.diff(image.astype(float), axis=1)).mean(axis=(0, 2)) for image in (crop, cover)
    ]
    assert steps[0].max() > 80 and steps[1].max() < 20
    assert np.median(steps[1]) == pytest.approx(np.median(steps[0]), rel=0.15)


def test_covering_changes_only_the_part() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    masks = np.stack([*square_masks(SIZE)])
    assert masks.max() == 1 and (masks.sum(axis=0) >= 1).all()
    corner = next(covered(crop, masks[:1]))
    assert np.array_equal(corner[SIZE // 2 :], crop[SIZE // 2 :])
    assert not np.array_equal(corner[: SIZE // CELLS], crop[: SIZE // CELLS])
