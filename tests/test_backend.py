"""Libraries compute the same numbers on every machine, and report to nobody."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from children import run_as_user
from keras_numbers import digests

RECORD_LOOKUPS = """
import os, socket, time

def refuse(host, *_, **__):
    os.write(1, f"{host}\\n".encode())  # also seen if another process looks it up
    raise socket.gaierror("no network")

socket.getaddrinfo = refuse
"""


@pytest.mark.parametrize(
    "imports",
    [
        "from deepfake_seq.backend import load_openvino as load",
        "from functools import partial\n"
        "from deepfake_seq.extract.faces.retinaface import RetinaFaceDetector\n"
        "load = partial(RetinaFaceDetector, None)",
    ],
    ids=["OpenVINO", "RetinaFace with ONNX Runtime"],
)
def test_nothing_is_sent_and_no_identifier_is_stored(imports: str, tmp_path: Path) -> None:
    # OpenVINO sends its report after the import, from another thread.
    output = run_as_user(f"{RECORD_LOOKUPS}\n{imports}\nload()\ntime.sleep(0.5)", tmp_path)
    assert output == ""
    names = {path.name.lower() for path in tmp_path.rglob("*")}
    assert not names & {"intel", "microsoft"}


@pytest.fixture
def home_with_keras_settings(tmp_path: Path) -> Path:
    settings = {
        "floatx": "float16",
        "epsilon": 0.1,
        "image_data_format": "channels_first",
        "backend": "jax",
        "nnx_enabled": True,
    }
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    return tmp_path


def test_the_keras_settings_of_a_user_are_not_used(home_with_keras_settings: Path) -> None:
    code = (
        "from deepfake_seq.backend import load_keras\n"
        "settings = load_keras().config\n"
        "print(settings.floatx(), settings.dtype_policy().name, settings.epsilon(),"
        " settings.image_data_format(), settings.is_nnx_enabled())"
    )
    # The import of TensorFlow would take seconds.
    output = run_as_user(code, home_with_keras_settings, KERAS_BACKEND="openvino")
    assert output == "float32 float32 1e-07 channels_last False\n"


@pytest.mark.slow
def test_the_keras_settings_of_a_user_do_not_change_any_number(
    home_with_keras_settings: Path, portrait_rgb: npt.NDArray[np.uint8]
) -> None:
    home = home_with_keras_settings
    image_rgb = cv2.resize(portrait_rgb, (256, 300), interpolation=cv2.INTER_AREA)
    np.save(home / "image.npy", image_rgb)
    code = (
        "import json, numpy\n"
        "from pathlib import Path\n"
        "from keras_numbers import digests\n"
        f"home = Path({str(home)!r})\n"
        "print(json.dumps(digests(numpy.load(home / 'image.npy'), home / 'theirs')))"
    )
    theirs = json.loads(run_as_user(code, home))
    ours = digests(image_rgb, home / "ours")
    assert ours["openvino"].startswith("float32 (1, 2048)")
    assert ours["faces"].startswith("float32 (1, 4)")
    assert theirs == ours


def test_keras_settings_that_keras_refuses_are_an_expected_error(tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"floatx": "float8"}')
    code = (
        "from deepfake_seq.backend import load_keras\n"
        "from deepfake_seq.errors import EngineError\n"
        "try:\n    load_keras()\nexcept EngineError as error:\n    print(error)"
    )
    message = run_as_user(code, tmp_path)
    assert "float8" in message and "keras.json" in message
