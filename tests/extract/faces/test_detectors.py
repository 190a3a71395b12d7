"""The contract of all face detectors, and the behaviour of each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from children import run_python
from detector_networks import (
    STRIDES,
    write_retinaface_like,
    write_retinaface_mobile_like,
)

from deepfake_seq.config import DETECTORS, RETINAFACES
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.faces import Face, FaceDetector, build_detector, detect_scaled
from deepfake_seq.extract.faces.retinaface import RetinaFaceDetector

Images = npt.NDArray[np.uint8]

FACE_IN_PORTRAIT = (178, 110, 351, 330)


@pytest.fixture(scope="session")
def retinaface_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_retinaface_like(tmp_path_factory.mktemp("retinaface") / "seeded.onnx")


@pytest.fixture(scope="session")
def retinaface_mobile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_retinaface_mobile_like(tmp_path_factory.mktemp("mobile") / "seeded_mobile.onnx")


@pytest.fixture(scope="session")
def detector_of(request: pytest.FixtureRequest) -> Callable[[str], FaceDetector]:
    """Each detector by name, built once."""
    made: dict[str, FaceDetector] = {}

    def build(name: str) -> FaceDetector:
        if name not in made:
            weights = None
            if name == "retinaface":
                weights = request.getfixturevalue("retinaface_file")
            elif name == "retinaface-mobile":
                weights = request.getfixturevalue("retinaface_mobile_file")
            elif name == "yunet":
                folder = request.getfixturevalue("shared") / "detectors"
                weights = next(iter(sorted(folder.glob("face_detection_yunet*.onnx"))), None)
                if weights is None:
                    pytest.skip("no YuNet network in shared/detectors")
            made[name] = build_detector(name, weights)
        return made[name]

    return build


@pytest.fixture(params=DETECTORS)
def detector(
    request: pytest.FixtureRequest, detector_of: Callable[[str], FaceDetector]
) -> FaceDetector:
    return detector_of(request.param)


@pytest.fixture(params=["mtcnn", "yunet"])
def trained(
    request: pytest.FixtureRequest, detector_of: Callable[[str], FaceDetector]
) -> FaceDetector:
    return detector_of(request.param)


@pytest.fixture(scope="module")
def five_images(portrait_rgb: Images) -> Images:
    """Four views of the portrait, one of them noisy, and one plain grey: (5, 300, 256, 3)."""
    small = cv2.resize(portrait_rgb, (256, 300), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).integers(-60, 61, small.shape)
    noisy = np.clip(small + noise, 0, 255).astype(np.uint8)
    plain = np.full_like(small, 128)
    return np.stack([small, noisy, plain, np.roll(small, 25, axis=1), small[:, ::-1]])


def assert_same_faces(faces: list[Face], others: list[Face]) -> None:
    assert len(faces) == len(others)
    for face, other in zip(faces, others, strict=True):
        np.testing.assert_allclose(face.box_xyxy, other.box_xyxy, atol=0.05)
        assert face.score == pytest.approx(other.score, abs=1e-3)
        assert (face.landmarks is None) == (other.landmarks is None)
        if face.landmarks is not None:
            np.testing.assert_allclose(face.landmarks, other.landmarks, atol=0.05)


def test_faces_have_valid_boxes_and_descending_scores(
    detector: FaceDetector, five_images: Images
) -> None:
    found = detector.detect(five_images)
    assert len(found) == 5
    assert any(found)
    height, width = five_images.shape[1:3]
    for faces in found:
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)
        for face in faces:
            left, top, right, bottom = face.box_xyxy.tolist()
            assert face.box_xyxy.dtype == np.float32
            assert -width / 2 <= left < right <= 1.5 * width
            assert -height / 2 <= top < bottom <= 1.5 * height
            assert type(face.score) is float
            assert 0 <= face.score <= 1
            if face.landmarks is not None:
                assert face.landmarks.shape == (5, 2)
                assert face.landmarks.dtype == np.float32


def test_a_batch_gives_the_same_faces_as_single_images(
    detector: FaceDetector, five_images: Images
) -> None:
    together = detector.detect(five_images)
    for position, faces in enumerate(together):
        (alone,) = detector.detect(five_images[position : position + 1])
        assert_same_faces(faces, alone)


def test_detection_is_reproducible_and_does_not_change_the_image(
    detector: FaceDetector, five_images: Images
) -> None:
    before = five_images.copy()
    for faces, again in zip(
        detector.detect(five_images), detector.detect(five_images), strict=True
    ):
        assert_same_faces(faces, again)
    np.testing.assert_array_equal(five_images, before)


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "none"])
def test_a_plain_image_has_no_face(name: str, detector_of: Callable[[str], FaceDetector]) -> None:
    assert detector_of(name).detect(np.full((2, 240, 320, 3), 128, np.uint8)) == [[], []]


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 200), (24, 24), (33, 47)])
def test_tiny_images_do_not_fail(detector: FaceDetector, size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    assert len(detector.detect(images)) == 2


def test_several_threads_can_use_a_detector_at_once(
    detector: FaceDetector, five_images: Images
) -> None:
    sizes = [five_images, five_images[:, ::2, ::2], five_images[1:], five_images[:, ::3, ::3]]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(detector.detect, sizes * 3))
    for images, found in zip(sizes * 3, together, strict=True):
        for faces, alone in zip(found, detector.detect(images), strict=True):
            assert_same_faces(faces, alone)


def test_no_images_give_no_lists(detector: FaceDetector) -> None:
    assert detector.detect(np.zeros((0, 64, 64, 3), np.uint8)) == []


def test_the_face_of_the_portrait_is_found(trained: FaceDetector, portrait_rgb: Images) -> None:
    ((face,),) = trained.detect(portrait_rgb[None])
    np.testing.assert_allclose(face.box_xyxy, FACE_IN_PORTRAIT, atol=35)
    assert face.score > 0.7


def test_landmarks_are_in_the_documented_order(trained: FaceDetector, portrait_rgb: Images) -> None:
    ((face,),) = trained.detect(portrait_rgb[None])
    assert face.landmarks is not None
    eye_left, eye_right, nose, mouth_left, mouth_right = face.landmarks
    assert eye_left[0] < nose[0] < eye_right[0]
    assert mouth_left[0] < nose[0] < mouth_right[0]
    assert max(eye_left[1], eye_right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_boxes_are_in_pixels_of_the_original_image(
    trained: FaceDetector, portrait_rgb: Images
) -> None:
    twice = cv2.resize(portrait_rgb, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    ((face,),) = detect_scaled(trained, [portrait_rgb], 360)
    ((large,),) = detect_scaled(trained, [twice], 360)
    np.testing.assert_allclose(large.box_xyxy, 2 * face.box_xyxy, atol=24)
    assert large.landmarks is not None
    assert face.landmarks is not None
    np.testing.assert_allclose(large.landmarks, 2 * face.landmarks, atol=24)


class Watcher:
    """Records the shapes of its inputs, and returns the whole frame as a face."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, images_rgb: Images) -> list[list[Face]]:
        self.shapes.append(images_rgb.shape)
        height, width = images_rgb.shape[1:3]
        return [[Face(np.array([0, 0, width, height], np.float32), 1.0)] for _ in images_rgb]


@pytest.mark.parametrize(
    ("size", "seen"),
    [((720, 1280), (360, 640)), ((200, 300), (200, 300)), ((1280, 720), (640, 360))],
)
def test_only_images_above_the_short_side_are_shrunk(
    size: tuple[int, int], seen: tuple[int, int]
) -> None:
    watcher = Watcher()
    found = detect_scaled(watcher, [np.zeros((*size, 3), np.uint8)] * 3, 360)
    assert watcher.shapes == [(3, *seen, 3)]
    assert len(found) == 3
    for (face,) in found:
        np.testing.assert_allclose(face.box_xyxy, [0, 0, size[1], size[0]])


def test_images_of_several_shapes_are_searched_each_in_its_own_pixels() -> None:
    watcher = Watcher()
    sizes = [(720, 1280), (1280, 720), (720, 1280), (200, 300)]
    found = detect_scaled(watcher, [np.zeros((*size, 3), np.uint8) for size in sizes], 360)
    assert watcher.shapes == [(2, 360, 640, 3), (1, 640, 360, 3), (1, 200, 300, 3)]
    for (face,), (height, width) in zip(found, sizes, strict=True):
        np.testing.assert_allclose(face.box_xyxy, [0, 0, width, height])


def test_detector_none_returns_the_whole_frame(detector_of: Callable[[str], FaceDetector]) -> None:
    ((face,),) = detector_of("none").detect(np.zeros((1, 48, 64, 3), np.uint8))
    assert face.box_xyxy.tolist() == [0, 0, 64, 48]
    assert (face.score, face.landmarks) == (1.0, None)


@pytest.mark.parametrize("size", [(160, 224), (150, 219)], ids=["even", "odd"])
def test_batched_retinaface_equals_the_package(
    size: tuple[int, int], retinaface_file: Path, detector_of: Callable[[str], FaceDetector]
) -> None:
    import onnxruntime

    found_by_us = detector_of("retinaface")  # also imports `retinaface`, with its ONNX backend
    from retinaface import RetinaFace

    # Blocks as large as the coarsest stride: few places exceed the
    # minimum confidence, whatever the image size.
    generator = np.random.default_rng(1)
    images = np.full((6, *size, 3), 128, np.uint8)
    for image in images:
        for _ in range(12):
            top, left = (int(generator.integers(0, length - 40)) for length in size)
            image[top : top + 40, left : left + 40] = generator.integers(0, 256, (40, 40, 3))
    session = onnxruntime.InferenceSession(str(retinaface_file))
    counts = []
    for image, faces in zip(images, found_by_us.detect(images), strict=True):
        theirs: dict[str, Any] = RetinaFace.detect_faces(
            np.ascontiguousarray(image[..., ::-1]),
            threshold=0.9,
            model=lambda batch: session.run(None, {"images": batch}),
            allow_upscaling=False,
        )
        counts.append(len(theirs))
        assert len(faces) == len(theirs)
        for face, other in zip(faces, theirs.values(), strict=True):
            np.testing.assert_allclose(face.box_xyxy, other["facial_area"], atol=1)
            assert face.score == pytest.approx(float(other["score"]), abs=1e-5)
            assert face.landmarks is not None
            names = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
            expected = [other["landmarks"][name] for name in names]
            np.testing.assert_allclose(face.landmarks, expected, atol=0.05)
    assert min(counts) > 0


def spot_network(
    images: list[npt.NDArray[np.float32]],
) -> list[list[npt.NDArray[np.float32]]]:
    """Replaces RetinaFace: one face of side 64 around the bright spot of each image."""
    found = []
    for image in images:
        height, width = image.shape[:2]
        outputs = [
            np.zeros((1, height // stride, width // stride, channels), np.float32)
            for stride in STRIDES
            for channels in (4, 8, 20)
        ]
        centre = np.argwhere(image[..., 0] > 128).mean(axis=0)
        row, column = (centre // 16).astype(int)
        probability, deltas = outputs[3], outputs[4]
        probability[0, row, column, 3] = 0.99  # the second anchor of stride 16, side 64
        shift = (centre - (16 * np.array([row, column]) + 7.5)) / 64
        deltas[0, row, column, 4:6] = shift[::-1]
        found.append(outputs)
    return found


@pytest.mark.parametrize("size", [(480, 640), (1200, 1280), (400, 2400)])
def test_retinaface_boxes_are_in_pixels_of_images_of_any_size(size: tuple[int, int]) -> None:
    height, width = size
    top, left = height * 3 // 4 - 32, width * 3 // 4 - 32
    image = np.zeros((1, height, width, 3), np.uint8)
    image[:, top : top + 64, left : left + 64] = 255
    ((face,),) = RetinaFaceDetector(spot_network).detect(image)
    centre = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2
    np.testing.assert_allclose(centre, [left + 32, top + 32], atol=4)


def test_importing_retinaface_keeps_the_warning_filters() -> None:
    code = (
        "import warnings; import onnxruntime, cv2; before = list(warnings.filters); "
        "from deepfake_seq.extract.faces.retinaface import RetinaFaceDetector; "
        "RetinaFaceDetector(lambda images: []); "
        "import sys; assert 'retinaface.RetinaFace' in sys.modules; "
        "assert 'tensorflow' not in sys.modules; "
        "assert list(warnings.filters) == before, warnings.filters"
    )
    run_python(code)


@pytest.mark.parametrize("name", ["yunet", *RETINAFACES])
def test_a_file_without_a_network_is_a_weights_error_naming_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(b"\x08 not a network")
    with pytest.raises(WeightsError, match=r"wrong\.onnx"):
        build_detector(name, path)


@pytest.mark.parametrize("name", ["yunet", *RETINAFACES])
def test_the_network_of_another_detector_is_a_weights_error(
    name: str, retinaface_file: Path, retinaface_mobile_file: Path
) -> None:
    path = retinaface_mobile_file if name == "retinaface" else retinaface_file
    with pytest.raises(WeightsError, match=path.name):
        build_detector(name, path).detect(np.zeros((1, 320, 320, 3), np.uint8))


def test_a_precision_that_the_cpu_lacks_is_refused_with_the_option_of_the_detector(
    retinaface_mobile_file: Path,
) -> None:
    try:
        build_detector("retinaface-mobile", retinaface_mobile_file, "float16")
    except EngineError as error:
        assert "--detector-precision float32" in str(error)
    else:
        pytest.skip("this CPU supports float16")
