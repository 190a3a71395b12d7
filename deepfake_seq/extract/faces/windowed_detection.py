"""Detection in windows: most frames are searched only where a face is expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.faces import windows
from deepfake_seq.extract.faces.base import Face, FaceDetector
from deepfake_seq.extract.faces.crop import cut_square, resize_square, square_around
from deepfake_seq.extract.faces.cuts import find_cuts
from deepfake_seq.extract.faces.detectors import detect_scaled

Images = Sequence[npt.NDArray[np.uint8]]

FIRST_SHARE = 2 / 3
"""Short side at which whole frames are searched first, as a fraction of the detection size, if the
main person of a video is wanted. By default, a face of a tenth of the short side then has 24
pixels."""

_MARGIN = windows.WINDOW - 1


def detect_in_windows(
    detector: FaceDetector, images_rgb: Images, short_side: int, first_short_side: int
) -> list[list[Face]]:
    """Detect faces like `detect_scaled`, but search only few frames whole.

    The frames chosen by `windows.frames_to_search` are searched whole, and so are those between
    them whose faces cannot be interpolated. Every face is then measured in a window around it, so
    that all boxes of a person come from images that show the face at about the same size. A frame
    in which a window does not show the expected face is searched whole.

    Args:
        detector: The detector.
        images_rgb: uint8 (H, W, 3) each, in chronological order; H and W may differ.
        short_side: Short side in pixels at which a whole frame is searched if no face is found at
            `first_short_side`; smaller images are not resized.
        first_short_side: Short side in pixels at which whole frames are searched first.
    """
    if all(_pixels(image, short_side) <= windows.MAX_WHOLE_PIXELS for image in images_rgb):
        return detect_scaled(detector, images_rgb, short_side)
    search = _Search(detector, images_rgb, (first_short_side, short_side))
    whole = search.frames(windows.frames_to_search(len(images_rgb), find_cuts(images_rgb)))
    expected = windows.expected_faces(whole)
    whole |= search.frames(frame for frame, faces in expected.items() if faces is None)
    known = {frame: faces for frame, faces in expected.items() if faces is not None}
    measured = search.windows({**known, **whole})
    lost = search.frames(frame for frame in known if not _is_complete(measured[frame]))
    measured |= search.windows(lost)
    whole |= lost
    faces = [_faces(measured[frame], whole.get(frame)) for frame in range(len(images_rgb))]
    return [sorted(each, key=lambda face: -face.score) for each in faces]


def _pixels(image: npt.NDArray[np.uint8], short_side: int) -> float:
    """Return the number of pixels of a frame at the detection size."""
    height, width = (int(length) for length in image.shape[:2])
    factor = min(short_side / min(height, width), 1.0)
    return height * width * factor * factor


def _is_complete(measured: Sequence[Face | None]) -> bool:
    """Return whether every window shows the expected face, each another one."""
    return None not in measured and windows.are_distinct([face for face in measured if face])


def _faces(measured: Sequence[Face | None], whole: Sequence[Face] | None) -> list[Face]:
    """Return the faces of a frame, those from a search of the whole frame if a window lacks one."""
    if whole is None:
        return [face for face in measured if face is not None]
    faces = [face or other for face, other in zip(measured, whole, strict=True)]
    return faces if windows.are_distinct(faces) else list(whole)


@dataclass(frozen=True)
class _Search:
    """Searches the frames of a video.

    Attributes:
        detector: The detector.
        images_rgb: uint8 (H, W, 3) each.
        short_sides: Short sides in pixels at which a whole frame is searched, one after the other,
            until a face is found.
    """

    detector: FaceDetector
    images_rgb: Images
    short_sides: Sequence[int]

    def frames(self, positions: Iterable[int]) -> dict[int, list[Face]]:
        """Search whole frames; return the faces of each."""
        found: dict[int, list[Face]] = {position: [] for position in positions}
        searched_side = 0
        for short_side in self.short_sides:
            empty = [
                position
                for position, faces in found.items()
                if not faces and min(self.images_rgb[position].shape[:2]) > searched_side
            ]
            images = [self.images_rgb[position] for position in empty]
            found |= zip(empty, detect_scaled(self.detector, images, short_side), strict=True)
            searched_side = short_side
        return found

    def windows(self, expected: Mapping[int, Sequence[Face]]) -> dict[int, list[Face | None]]:
        """Search a window around each expected face; return what each window shows of it."""
        measured: dict[int, list[Face | None]] = {
            frame: [None] * len(faces) for frame, faces in expected.items()
        }
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for frame, faces in expected.items():
            for number, face in enumerate(faces):
                places[windows.window_size(self._square(frame, face)[2])].append((frame, number))
        for size, those in places.items():
            squares = [
                cut_square(self.images_rgb[frame], expected[frame][number].box_xyxy, _MARGIN)
                for frame, number in those
            ]
            images = np.stack([resize_square(square, size) for square in squares])
            for (frame, number), faces in zip(those, self.detector.detect(images), strict=True):
                face = expected[frame][number]
                left, top, side = self._square(frame, face)
                moved = [each.scaled(side / size).moved(left, top) for each in faces]
                measured[frame][number] = windows.expected_face(moved, face)
        return measured

    def _square(self, frame: int, face: Face) -> tuple[int, int, int]:
        height, width = self.images_rgb[frame].shape[:2]
        return square_around(face.box_xyxy, _MARGIN, width, height)
