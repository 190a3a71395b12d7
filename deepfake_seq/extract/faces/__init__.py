"""Faces: detection, tracking of people, and cropping."""

from deepfake_seq.extract.faces.base import Face, FaceDetector, FaceTrack
from deepfake_seq.extract.faces.crop import cut_square, resize_square
from deepfake_seq.extract.faces.cuts import find_cuts
from deepfake_seq.extract.faces.detectors import build_detector, detect_scaled
from deepfake_seq.extract.faces.tracking import is_same_person, select_people, track_faces

__all__ = [
    "Face",
    "FaceDetector",
    "FaceTrack",
    "build_detector",
    "cut_square",
    "detect_scaled",
    "find_cuts",
    "is_same_person",
    "resize_square",
    "select_people",
    "track_faces",
]
