"""`deepseq faces`: the contact sheet and its summary."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from calling import deepseq
from clips import number_in, numbered, read_all, write_clip, write_images
from records import make_record

from deepfake_seq.config import ExtractConfig, FaceConfig, LimitsConfig, SamplingConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.contact_sheet import InspectedVideo, _cells, cells_of, draw
from deepfake_seq.extract.faces import Face
from deepfake_seq.extract.faces.people import Person
from deepfake_seq.extract.video.decode import DecodedVideo, SampledFrames, identify
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.store import SourceFile


def test_a_sheet_is_drawn_and_summarised(tmp_path: Path) -> None:
    clip = write_images(tmp_path / "clip.mp4", [numbered(3)] * 40)
    sheet = tmp_path / "sheet.png"
    options = ["--out", sheet, "--detector", "none"]
    result = deepseq("faces", clip, *options, "--frames", 4)
    assert result.exit_code == 0
    assert result.stdout == f"{sheet}: ok, face in 4 of 4 sampled frames\n"
    image = cv2.imread(str(sheet))
    assert image is not None and min(image.shape[:2]) > 200
    result = deepseq("faces", clip, *options, "--json")
    assert json.loads(result.stdout) == {
        "path": str(clip),
        "sheet": str(sheet),
        "status": "ok",
        "reason": "",
        "frames_sampled": 16,
        "people": [{"faces_found": 16, "faces_filled": 0}],
    }


@pytest.mark.parametrize(
    ("name", "start"), [("x.png", b"\x89PNG"), ("x.jpg", b"\xff\xd8"), ("x.JPEG", b"\xff\xd8")]
)
def test_the_suffix_selects_the_format(name: str, start: bytes, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    result = deepseq("faces", clip, "--out", tmp_path / name, "--detector", "none", "--frames", 1)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["x.gif", "x"])
def test_a_picture_of_unknown_format_is_refused(name: str, tmp_path: Path) -> None:
    for command in (["faces", __file__, "--out", name], ["dataset", tmp_path, "--figure", name]):
        result = deepseq(*command)
        assert result.exit_code == 2
        assert f"must end with .png, .jpg, .jpeg. Received: {name}" in result.stderr


def test_a_sheet_that_cannot_be_written_is_an_expected_error(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    sheet = clip / "sheet.png"  # in a file in place of a folder: refused even for root
    result = deepseq("faces", clip, "--out", sheet, "--detector", "none", "--frames", 1)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"deepseq: cannot write {sheet}: ") and line.endswith("with --out.")


def test_a_clip_without_a_face_is_drawn(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 40)
    sheet = tmp_path / "sheet.png"
    result = deepseq("faces", clip, "--out", sheet, "--detector", "mtcnn", "--frames", 3)
    assert result.exit_code == 0
    assert "no face in 3 sampled frames" in result.stdout
    assert sheet.exists()


def test_an_unreadable_clip_is_an_error_and_creates_no_sheet(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    sheet = tmp_path / "sheet.png"
    result = deepseq("faces", tmp_path / "text.mp4", "--out", sheet, "--detector", "none")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "text.mp4: decode_error: " in line
    assert not sheet.exists()


@pytest.fixture
def inspected() -> InspectedVideo:
    """Four sampled frames with a face: found, found in a neighbour, not found, found."""
    images = np.stack([np.full((60, 80, 3), 40 * n, np.uint8) for n in range(4)])
    index = np.array([5, 15, 25, 35])
    frames = SampledFrames(list(images), index, index / 10)
    face = Face(np.array([10, 10, 50, 50], np.float32), 0.9)
    at = np.array([5, 17, 35])
    squares = [np.zeros((52, 52, 3), np.uint8)] * 3
    sizes = np.array([[80, 60]] * 3, np.int32)
    person = Person(squares, [face] * 3, at, at / 10, sizes, filled=1)
    video = DecodedVideo(frames, "ok", "", SourceFile(1, 1, ""))
    shown = dict(zip(index.tolist(), images, strict=True)) | {17: images[1] + 9}
    return InspectedVideo(video, [person], [_cells(frames, person, shown)])


def test_each_sampled_frame_has_a_cell(inspected: InspectedVideo) -> None:
    cells = inspected.cells[0]
    assert [cell.pts_seconds for cell in cells] == [0.5, 1.7, 2.5, 3.5]
    assert [cell.face is not None for cell in cells] == [True, True, False, True]
    assert [cell.filled for cell in cells] == [False, True, False, False]
    assert [int(cell.image_rgb[0, 0, 0]) for cell in cells] == [0, 49, 80, 120]


def test_found_filled_and_missed_frames_look_different(
    inspected: InspectedVideo, tmp_path: Path
) -> None:
    draw(inspected, "title", ExtractConfig(faces=FaceConfig("none")), tmp_path / "sheet.png")
    image = cv2.imread(str(tmp_path / "sheet.png"))
    assert image is not None
    for colour in ((0x33, 0x88, 0x22), (0x44, 0xBB, 0xCC)):  # green and yellow, in BGR
        assert (np.abs(image.astype(int) - colour).max(axis=2) < 12).any()


def test_a_sheet_can_be_made_from_a_record_and_its_video(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 60)
    record = make_record("clip.mp4", valid=12, source=identify(clip))
    record.boxes_xyxy[:12] = [4, 8, 40, 44]
    with Decoders(1, SamplingConfig(), LimitsConfig()) as decoders:
        cells = cells_of(clip, record, decoders)
        assert [number_in(cell.image_rgb) for cell in cells] == [3 * row for row in range(12)]
        assert [cell.face.box_xyxy.tolist() for cell in cells if cell.face] == [[4, 8, 40, 44]] * 12
        with pytest.raises(VideoError, match="another version"):
            cells_of(clip, make_record("clip.mp4"), decoders)
        with pytest.raises(VideoError, match="cannot be read"):
            cells_of(tmp_path / "absent.mp4", record, decoders)
        record.frame_index[:12] += 10_000
        with pytest.raises(VideoError, match=r"lacks the frames|cannot be decoded"):
            cells_of(clip, record, decoders)


@pytest.mark.parametrize("corner", [np.nan, np.inf, -np.inf, 1e9, -1e9])
def test_impossible_boxes_are_not_drawn(tmp_path: Path, corner: float) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 60)
    record = make_record("clip.mp4", source=identify(clip))
    record.boxes_xyxy[3, 2] = corner
    with (
        Decoders(1, SamplingConfig(), LimitsConfig()) as decoders,
        pytest.raises(VideoError, match="outside"),
    ):
        cells_of(clip, record, decoders)


def test_a_title_is_not_rendered_as_a_formula(inspected: InspectedVideo, tmp_path: Path) -> None:
    config = ExtractConfig(faces=FaceConfig("none"))
    draw(inspected, r"$\nonsense{$.mp4", config, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()


def test_a_checkout_decodes_in_worker_processes(tmp_path: Path) -> None:
    clip, sheet = write_clip(tmp_path / "clip.mp4", 8), tmp_path / "sheet.png"
    cli = Path(__file__).parents[1] / "cli.py"
    call = [sys.executable, cli, "faces", clip, "--out", sheet, "--detector", "none"]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert sheet.exists()


def faces_json(clip: Path, shared: Path, out: Path) -> dict[str, Any]:
    detector = shared / "detectors" / "face_detection_yunet_2026may.onnx"
    options = ["--detector", "yunet", "--detector-weights", detector, "--out", out, "--json"]
    return dict(json.loads(deepseq("faces", clip, *options).stdout))


def squares(path: Path, count: int) -> list[np.ndarray]:
    """Return frames of a clip, scaled to 240 × 240 pixels."""
    return [cv2.resize(image, (240, 240)) for image in read_all(path)[1][:count]]


@pytest.mark.slow
def test_everyone_in_a_picture_is_shown(tmp_path: Path, shared: Path) -> None:
    clips = shared / "clips"
    left = squares(clips / "real" / "liveportrait__d0.mp4", 40)
    right = squares(clips / "fake" / "anitalker__aiface2_hubert__aiface2-english_female.mp4", 40)
    images = [np.hstack(pair) for pair in zip(left, right, strict=True)]
    clip = write_images(tmp_path / "two.mp4", images)
    people = faces_json(clip, shared, tmp_path / "sheet.png")["people"]
    assert [person["faces_found"] for person in people] == [16, 16]


@pytest.mark.slow
def test_everyone_in_an_interview_with_cuts_is_shown(tmp_path: Path, shared: Path) -> None:
    clips = shared / "clips"
    one = squares(clips / "real" / "liveportrait__d0.mp4", 60)
    other = squares(clips / "fake" / "anitalker__aiface2_hubert__aiface2-english_female.mp4", 60)
    images = [
        image for at in (0, 20, 40) for shots in (one, other) for image in shots[at : at + 20]
    ]
    clip = write_images(tmp_path / "interview.mp4", images)
    people = faces_json(clip, shared, tmp_path / "sheet.png")["people"]
    assert len(people) == 6
    assert all(person["faces_found"] >= 8 for person in people)
