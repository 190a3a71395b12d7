"""Faces: finding them, following people, cutting out the face."""

from deepfake_seq.extract.faces.base import Face, FaceDetector, FaceTrack
from deepfake_seq.extract.faces.crop import cut_square, resize_square
from deepfake_seq.extract.faces.cuts import cuts
from deepfake_seq.extract.faces.detectors import build_detector, detect_scaled
from deepfake_seq.extract.faces.tracking import follow, people

__all__ = [
    "Face",
    "FaceDetector",
    "FaceTrack",
    "build_detector",
    "cut_square",
    "cuts",
    "detect_scaled",
    "follow",
    "people",
    "resize_square",
]
