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
SECONDS = np.arange(FRAMES) / 25
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
    return find_people(frames_at(SAMPLED.tolist()), detector, config, SECONDS, frames_at)


class Counting:
    """Finds a bright square; records the sizes of the images."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        self.sizes += [images_rgb.shape[1:3]] * len(images_rgb)
        found = []
        for image in images_rgb:
            (top, left), (bottom, right) = (
                limit(np.argwhere(image[..., 0] > 128), axis=0) for limit in (np.min, np.max)
            )
            found.append([Face(np.array([left, top, right, bottom], dtype=np.float32), 0.9)])
        return found


@pytest.mark.parametrize(("people", "first"), [("largest", (240, 427)), ("all", (360, 640))])
def test_whole_frames_are_searched_at_a_smaller_size_if_only_the_main_person_is_wanted(
    people: str, first: tuple[int, int]
) -> None:
    image = np.zeros((360, 640, 3), dtype=np.uint8)
    image[100:180, 200:280] = 255
    frames = SampledFrames([image] * len(SAMPLED), SAMPLED, SAMPLED / 25)
    detector = Counting()
    config = FaceConfig("yunet", people=people, detect="windows")
    (person,) = find_people(frames, detector, config, SECONDS, frames_at)
    assert len(person) == 16
    assert set(detector.sizes) == {first, (192, 192)}
    assert detector.sizes.count(first) == 5


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
    assert [int(image[0, 0, 0]) for image in person.squares_rgb] == person.frame_index.tolist()
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
    (person,) = find_people(frames, Blind({45}), config, SECONDS, lambda positions: None)
    assert len(person) == 15

    def others(positions: Sequence[int]) -> SampledFrames:
        return frames_at([position + 1 for position in positions])

    (person,) = find_people(frames, Blind({45}), config, SECONDS, others)
    assert len(person) == 15


def test_people_on_both_sides_of_a_cut_are_not_joined() -> None:
    frames = frames_at(SAMPLED.tolist())
    for image in frames.images_rgb[10:]:
        image //= 3
    assert find_cuts(frames.images_rgb) == {10}
    (person,) = find_people(frames, Blind(set()), FaceConfig("none"), SECONDS, lambda at: None)
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


@pytest.mark.parametrize("gain", [0.7, 0.85, 1.15, 1.4])
def test_another_exposure_is_no_cut(gain: float) -> None:
    generator = np.random.default_rng(0)
    scene = generator.integers(20, 180, (8, 8, 3)).repeat(12, axis=0).repeat(12, axis=1)
    assert not find_cuts([scene.astype(np.uint8), (scene * gain).astype(np.uint8)])


def test_shots_of_the_same_brightness_and_half_of_the_colours_are_apart() -> None:
    generator = np.random.default_rng(0)
    images = np.empty((3, 96, 96, 3), np.uint8)
    images[:, :48] = 90 + generator.integers(-8, 9, (48, 96, 3))
    images[:2, 48:] = [120, 60, 90]
    images[2, 48:] = [60, 120, 90]
    assert find_cuts(list(images)) == {2}


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_have_no_cut(count: int) -> None:
    assert find_cuts([np.zeros((4, 4, 3), np.uint8)] * count) == frozenset()


class Scenes:
    """Finds one face at the same place in every frame of an edited video with shots of 12 frames.

    The shots are red, green and blue in turn, so that each begins with a cut.
    """

    SHOT = 12

    def frames_at(self, positions: Sequence[int]) -> SampledFrames:
        frames = frames_at(positions)
        for image, at in zip(frames.images_rgb, positions, strict=True):
            image[:] = np.roll([180, 60, 60], at // self.SHOT)
            image[0, 0, 0] = at
        return frames

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        return [[Face(np.array([20, 20, 40, 40], np.float32), 0.9)] for _ in images_rgb]

    def find(self, people: str) -> list[Person]:
        config = FaceConfig("none", people=people)
        frames = self.frames_at(SAMPLED.tolist())
        return find_people(frames, self, config, SECONDS, self.frames_at)


def test_a_person_in_a_short_shot_is_sampled_again_within_it() -> None:
    (person,) = Scenes().find("largest")
    assert person.resampled
    assert len(person) > 8
    shots = set(person.frame_index // Scenes.SHOT)
    assert len(shots) == 1
    assert (np.diff(person.frame_index) > 0).all()
    np.testing.assert_allclose(person.pts_seconds, person.frame_index / 25)


def test_every_shot_has_a_person_of_its_own() -> None:
    people = Scenes().find("all")
    shots = [set((person.frame_index // Scenes.SHOT).tolist()) for person in people]
    assert all(len(shot) == 1 for shot in shots)
    assert len(set.union(*shots)) == len(people) == 8
    assert all(person.shots >= 13 for person in people)


def test_a_person_in_half_of_the_frames_is_not_sampled_again() -> None:
    (person,) = find(Blind(set(range(80, 160))))
    assert len(person) == 8
    assert not person.resampled


def test_a_person_who_enters_late_is_sampled_again_from_then_on() -> None:
    (person,) = find(Blind(set(range(120))))
    assert person.resampled
    assert len(person) == 16
    assert person.frame_index.min() >= 120


def test_sampling_again_that_shows_fewer_faces_changes_nothing() -> None:
    config = FaceConfig("none")
    detector = Blind(set(range(120)))

    def once(positions: Sequence[int]) -> SampledFrames | None:
        return None if min(positions) > 115 else frames_at(positions)

    frames = frames_at(SAMPLED.tolist())
    (person,) = find_people(frames, detector, config, SECONDS, once)
    assert not person.resampled
    assert len(person) == 4


def test_frames_of_another_size_begin_a_new_shot() -> None:
    frames = frames_at(SAMPLED.tolist())
    frames.images_rgb[8:] = [np.full((96, 48, 3), 90, np.uint8) for _ in frames.images_rgb[8:]]
    assert find_cuts(frames.images_rgb) == {8}


def test_the_size_of_each_frame_is_kept() -> None:
    (person,) = find(Blind(set()))
    assert person.frame_size.tolist() == [[64, 64]] * 16


def test_only_frames_in_the_given_bounds_are_searched() -> None:
    detector = Blind(set(range(70, 76)))
    frames = frames_at(list(range(50, 82, 2)))
    config = FaceConfig("none")
    (person,) = find_people(frames, detector, config, SECONDS, frames_at, bounds=(48, 84))
    assert min(detector.looked) >= 48
    assert max(detector.looked) < 84
    assert person.filled == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.68])
def test_bars_at_the_border_do_not_hide_a_cut(share: float) -> None:
    images = [np.full((90, 160, 3), shade, np.uint8) for shade in (60, 60, 200)]
    generator = np.random.default_rng(0)
    for image in images:
        image += generator.integers(0, 40, image.shape, dtype=np.uint8)
        image[:, : round(share * 80)] = 16
        image[:, 160 - round(share * 80) :] = 16
    assert find_cuts(images) == {2}
