"""Fixtures of all tests: a temporary home, a portrait, and the shared folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn as tiny_cnn_module
from clips import write_images
from hypothesis import settings

# Every worker of pytest has one core; libraries read these when they are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(_name, "1")

# No deadline: on shared cores, the time of one example is not meaningful.
settings.register_profile("deepseq", deadline=None, derandomize=True)
settings.load_profile("deepseq")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set a temporary home for the session, so that networks are exported only once."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "DEEPFACE_HOME"):
            patch.setenv(name, str(folder))
        patch.setenv("DEEPSEQ_HOME", str(folder / "deepseq"))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.delenv("KERAS_BACKEND", raising=False)
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        yield folder


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty home for one test."""
    for name in ("HOME", "DEEPFACE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "home" / "deepseq"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny-home")


@pytest.fixture(scope="module")
def tiny_cnn(tiny_home: Path) -> Iterator[None]:
    """Replace InceptionV3 and VGG16 by CNNs of two layers."""
    with tiny_cnn_module.in_place(tiny_home):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with networks and clips next to the repository; skip if there is none."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder named shared next to the repository")
    return folder


@pytest.fixture(scope="session")
def portrait_rgb() -> npt.NDArray[np.uint8]:
    """Return a portrait of one person, RGB uint8 (600, 512, 3)."""
    from matplotlib.cbook import get_sample_data  # creates a folder in the home when imported

    with get_sample_data("grace_hopper.jpg") as file:
        data = np.frombuffer(file.read(), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


@pytest.fixture(scope="session")
def portrait_clip(
    portrait_rgb: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Write a clip of 20 frames, 256x300, in which the person moves slightly to the right."""
    small = cv2.resize(portrait_rgb, (256, 300), interpolation=cv2.INTER_AREA)
    images = [np.asarray(np.roll(small, step, axis=1), dtype=np.uint8) for step in range(20)]
    return write_images(tmp_path_factory.mktemp("clips") / "portrait.mp4", images)
