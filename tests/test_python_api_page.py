"""The examples of docs/python-api.md run as they are printed, on a store and a run made here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from calling import deepseq
from records import FACES, make_faces, make_record

from deepfake_seq.config import BackboneConfig, ExtractConfig, FaceConfig, SamplingConfig
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.store import StoreWriter

PAGE = Path(__file__).parents[1] / "docs" / "python-api.md"
CLIPS = 24
FRAMES = 8
WIDTH = 512


@pytest.fixture
def folder(tmp_path: Path, portrait_clip: Path, tiny_cnn: None) -> Path:
    """A store with faces, a run that was trained on it, and a clip, as the page expects them."""
    settings = ExtractConfig(
        sampling=SamplingConfig(frames=FRAMES),
        faces=FaceConfig(detector="none"),
        backbone=BackboneConfig("vgg16", weights="untrained"),
    )
    with StoreWriter.create(tmp_path / "features", resolve(settings).description) as writer:
        for number in range(CLIPS):
            writer.commit(
                make_record(
                    f"{number:02}.mp4",
                    seed=number,
                    valid=FRAMES,
                    frames=FRAMES,
                    width=WIDTH,
                    shift=number % 2,
                    label=number % 2,
                    groups=(f"person{number // 2}",),
                )
            )
        writer.commit(make_record("no-face.mp4", valid=0, frames=FRAMES, width=WIDTH))
    FACES.write(tmp_path / "features" / "faces", [make_faces("00.mp4")])
    shutil.copy(portrait_clip, tmp_path / "clip.mp4")
    fitted = deepseq(
        "fit", "--features", tmp_path / "features", "--out", tmp_path / "runs" / "first",
        "--model", "logistic",
    )  # fmt: skip
    assert fitted.exit_code == 0, fitted.stderr
    return tmp_path


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_examples_run_as_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    assert len(examples()) >= 6
    for example in examples():
        exec(compile(example, PAGE.name, "exec"), names)
    assert names["failed"] == ["no-face.mp4"]
    assert names["y"].tolist() == [0, 1] * (CLIPS // 2)
    assert names["scores"].shape == (CLIPS,)
    assert names["verdict"].frames_used == FRAMES
    printed = capsys.readouterr().out
    assert "8 of 8 frames show the face" in printed
    assert "no-such-store" in printed
