"""People in sampled frames, and in the neighbours of frames that do not show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq.config import FaceConfig
from deepfake_seq.extract.faces import Face, find_cuts
from deepfake_seq.extract.faces.people import Person, find_people
from deepfake_seq.extract.video.decode import SampledFrames

FRAMES = 160
SAMPLED = np.arange(5, FRAMES, 10)


def frames_at(positions: Sequence[int]) -> SampledFrames:
    """Images with their number encoded in two pixels."""
    images = np.full((len(positions), 64, 64, 3), 90, dtype=np.uint8)
    images[:, 0, 0, 0] = positions
    index = np.array(positions, dtype=np.int64)
    return SampledFrames(list(images), index, index / 25)


class Blind:
    """Finds one or several faces in each frame, except in the frames numbered in `blind`."""

    def __init__(self, blind: set[int], people: int = 1) -> None:
        self.blind = blind
        self.people = people
        self.looked: list[int] = []

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        numbers = [int(image[0, 0, 0]) for image in images_rgb]
        self.looked += numbers
        return [[] if number in self.blind else self._faces(number) for number in numbers]

    def _faces(self, number: int) -> list[Face]:
        boxes = [[20 * who, 0, 20 * who + 15 - who, 15] for who in range(self.people)]
        return [Face(np.array(box, dtype=np.float32), number / 1000) for box in boxes]


def find(detector: Blind, **settings: str) -> list[Person]:
    config = FaceConfig("none", **settings)
    return find_people(frames_at(SAMPLED.tolist()), detector, config, FRAMES, frames_at)


def test_no_neighbours_are_searched_if_every_frame_shows_the_face() -> None:
    detector = Blind(set())
    (person,) = find(detector)
    assert person.frame_index.tolist() == SAMPLED.tolist()
    assert person.filled == 0
    assert detector.looked == SAMPLED.tolist()


def test_a_frame_without_the_face_is_replaced_by_its_nearest_neighbour() -> None:
    detector = Blind({45, 46, 44})
    (person,) = find(detector)
    assert len(person) == 16
    assert person.filled == 1
    replaced = person.frame_index[4]
    assert replaced not in detector.blind and abs(replaced - 45) < 5
    np.testing.assert_allclose(person.pts_seconds, person.frame_index / 25)
    assert [round(face.score * 1000) for face in person.faces] == person.frame_index.tolist()
    assert [int(image[0, 0, 0]) for image in person.images_rgb] == person.frame_index.tolist()
    assert (np.diff(person.frame_index) > 0).all()


def test_a_frame_without_the_face_in_any_neighbour_is_dropped() -> None:
    (person,) = find(Blind(set(range(40, 60))))
    assert person.filled == 0
    assert not set(person.frame_index) & set(range(40, 60))
    assert len(person) == 14


def test_neighbours_are_searched_even_if_no_sampled_frame_shows_a_face() -> None:
    (person,) = find(Blind(set(SAMPLED.tolist())))
    assert len(person) == person.filled == 16


def test_a_video_without_faces_gives_no_people() -> None:
    assert find(Blind(set(range(FRAMES)))) == []


def test_neighbours_are_searched_for_every_person() -> None:
    first, second = find(Blind({45, 85}, people=2), people="all")
    assert [len(first), first.filled, len(second), second.filled] == [16, 2, 16, 2]
    assert [person.faces[0].box_xyxy[0] for person in (first, second)] == [0, 20]
    assert len(find(Blind({45}, people=2))) == 1


def test_undecodable_neighbours_change_nothing() -> None:
    frames = frames_at(SAMPLED.tolist())
    config = FaceConfig("none")
    (person,) = find_people(frames, Blind({45}), config, FRAMES, lambda positions: None)
    assert len(person) == 15

    def others(positions: Sequence[int]) -> SampledFrames:
        return frames_at([position + 1 for position in positions])

    (person,) = find_people(frames, Blind({45}), config, FRAMES, others)
    assert len(person) == 15


def test_people_on_both_sides_of_a_cut_are_not_joined() -> None:
    frames = frames_at(SAMPLED.tolist())
    for image in frames.images_rgb[10:]:
        image //= 3
    assert find_cuts(frames.images_rgb) == {10}
    (person,) = find_people(frames, Blind(set()), FaceConfig("none"), FRAMES, lambda at: None)
    assert person.frame_index.tolist() == SAMPLED[:10].tolist()


@pytest.mark.parametrize("shift", [0, 6])
def test_motion_and_noise_are_not_cuts(shift: int) -> None:
    generator = np.random.default_rng(0)
    scene = generator.integers(0, 256, (8, 8, 3)).repeat(12, axis=0).repeat(12, axis=1)
    images = [
        np.clip(np.roll(scene, shift * step, axis=1) + generator.normal(0, 4, scene.shape), 0, 255)
        for step in range(8)
    ]
    assert find_cuts([image.astype(np.uint8) for image in images]) == frozenset()


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_have_no_cut(count: int) -> None:
    assert find_cuts([np.zeros((4, 4, 3), np.uint8)] * count) == frozenset()
