"""Evidence blocks of faces, from crops at their native size to named arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn

from deepfake_seq.config import EVIDENCE, STANDARD_EVIDENCE, BackboneConfig
from deepfake_seq.extract.backbones.batching import Batcher, finish
from deepfake_seq.extract.backbones.runtime import build_runtime
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.evidence.residual import residual_image
from deepfake_seq.extract.evidence.table import BLOCK_TABLE
from deepfake_seq.extract.faces import resize_square
from deepfake_seq.face_regions import FIXED_LANDMARKS

UNTRAINED = BackboneConfig(weights="untrained")
SIDES = (40, 90, 64, 25, 64)

Image = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def small_cnn(tiny_home: Path) -> Iterator[None]:
    with tiny_cnn.in_place(tiny_home):
        yield


@pytest.fixture(scope="module")
def squares(portrait_rgb: Image) -> list[Image]:
    """Crops of different sizes of a portrait."""
    return [
        cv2.resize(portrait_rgb[9 * k : 9 * k + 400, 9 * k : 9 * k + 400], (side, side))
        for k, side in enumerate(SIDES)
    ]


@pytest.fixture(scope="module")
def landmarks() -> list[Rows | None]:
    """Landmarks, different in each crop; the last crop has none."""
    faces = [np.float32(FIXED_LANDMARKS * side + [k, -k]) for k, side in enumerate(SIDES[:-1])]
    return [*faces, None]


@cache
def evidence_of(*blocks: str, runtime: str = "openvino") -> Evidence:
    return Evidence.build(blocks, runtime, UNTRAINED, None)


def blocks_of(
    names: tuple[str, ...], squares: list[Image], landmarks: list[Rows | None]
) -> dict[str, Rows]:
    evidence = evidence_of(*names)
    return evidence.split(evidence.compute(evidence.prepare(squares, landmarks)))


@pytest.fixture(scope="module")
def blocks(squares: list[Image], landmarks: list[Rows | None]) -> dict[str, Rows]:
    return blocks_of(EVIDENCE, squares, landmarks)


def test_every_block_of_the_settings_is_in_the_table() -> None:
    assert tuple(BLOCK_TABLE) == EVIDENCE
    assert STANDARD_EVIDENCE == ("features", "depths", "regions", "residual")


def test_each_block_has_one_row_per_face_of_its_width(blocks: dict[str, Rows]) -> None:
    row = BACKBONE_TABLE["inception_v3"]
    assert set(blocks) == set(EVIDENCE)
    for name, rows in blocks.items():
        assert rows.shape == (len(SIDES), BLOCK_TABLE[name].width(row))
        assert rows.dtype == np.float32 and np.isfinite(rows).all()
        assert np.abs(np.diff(rows, axis=0)).max(axis=1).min() > 0


def test_features_are_those_of_the_cnn_alone(blocks: dict[str, Rows], squares: list[Image]) -> None:
    crops = np.stack([resize_square(square, tiny_cnn.CROP_SIZE) for square in squares])
    alone = build_runtime("openvino", UNTRAINED, None).features(crops)
    np.testing.assert_array_equal(blocks["features"], alone)


@pytest.mark.parametrize("names", [("features",), ("residual", "ela"), ("ela",), ("depths",)])
def test_a_block_does_not_depend_on_the_other_blocks(
    names: tuple[str, ...],
    blocks: dict[str, Rows],
    squares: list[Image],
    landmarks: list[Rows | None],
) -> None:
    some = blocks_of(names, squares, landmarks)
    assert set(some) == set(names)
    for name, rows in some.items():
        np.testing.assert_array_equal(rows, blocks[name])


def test_blocks_of_faces_in_mixed_batches_are_those_of_each_face_alone(
    blocks: dict[str, Rows], squares: list[Image], landmarks: list[Rows | None]
) -> None:
    evidence = evidence_of(*EVIDENCE)
    batcher: Batcher[str] = Batcher(2)
    batcher.add("first", evidence.prepare(squares[:3], landmarks[:3]))
    batcher.add("second", evidence.prepare(squares[3:], landmarks[3:]))
    done: dict[str, Rows] = {}
    while batch := batcher.take(partial=True):
        done |= finish(batch, evidence.compute(batch.inputs))
    for name, rows in evidence.split(np.concatenate([done["first"], done["second"]])).items():
        np.testing.assert_array_equal(rows, blocks[name])


def test_the_residual_block_sees_the_noise_of_the_crop_before_it_is_resized(
    blocks: dict[str, Rows], squares: list[Image], landmarks: list[Rows | None]
) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, squares[1].shape)
    noisy = [*squares]
    noisy[1] = np.uint8((squares[1] + noise).clip(0, 255))
    assert (residual_image(noisy[1], 32) != residual_image(squares[1], 32)).mean() > 0.5
    changes = {
        name: np.abs(rows - blocks[name]).max(axis=1) / np.abs(blocks[name]).max()
        for name, rows in blocks_of(EVIDENCE, noisy, landmarks).items()
    }
    assert changes["residual"][1] > 3 * changes["features"][1] > 0
    assert all(not np.delete(change, 1).any() for change in changes.values())


def test_a_face_without_landmarks_has_the_fixed_regions(
    blocks: dict[str, Rows], squares: list[Image]
) -> None:
    fixed = [np.float32(FIXED_LANDMARKS * SIDES[-1])]
    for name, rows in blocks_of(EVIDENCE, squares[-1:], [*fixed]).items():
        np.testing.assert_allclose(rows[0], blocks[name][-1], rtol=1e-4, atol=1e-5)


def test_no_cnn_is_loaded_for_blocks_that_do_not_need_one() -> None:
    evidence = Evidence.build(["ela"], "openvino", BackboneConfig(weights="lost"), None)
    assert list(evidence.widths.values()) == [36]
    assert evidence.batch > 0


def test_no_crops_prepare_to_nothing() -> None:
    assert evidence_of(*EVIDENCE).prepare([], []) == {}


def test_the_runtimes_agree_on_all_blocks(
    blocks: dict[str, Rows], squares: list[Image], landmarks: list[Rows | None]
) -> None:
    keras = evidence_of(*EVIDENCE, runtime="keras")
    computed = keras.split(keras.compute(keras.prepare(squares, landmarks)))
    for name, rows in blocks.items():
        assert np.abs(computed[name] - rows).max() / np.abs(rows).max() < 1e-4
