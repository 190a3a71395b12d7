"""Which files are found, and what is reported about the others."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from trees import by_id, plant

from deepfake_seq.config import VIDEO_SUFFIXES
from deepfake_seq.datasets import collect, discover
from deepfake_seq.errors import DatasetError


def left_out(root: Path) -> list[str]:
    return list(discover([root]).left_out.lines())


def test_files_of_every_supported_container_are_found(tmp_path: Path) -> None:
    names = [f"clip{suffix}" for suffix in VIDEO_SUFFIXES]
    assert {".m2ts", ".vob", ".h264", ".f4v", ".mp4"} <= VIDEO_SUFFIXES
    plant(tmp_path, dict.fromkeys([*names, *(name.upper() for name in names)], ""))
    assert set(by_id(tmp_path)) == {*names, *(name.upper() for name in names)}
    assert left_out(tmp_path) == []


def test_videos_that_cannot_be_read_are_counted_by_suffix(tmp_path: Path) -> None:
    plant(tmp_path, dict.fromkeys(["a.mp4", "b.wmv", "sub/c.WMV", "d.ogv"], ""))
    assert list(by_id(tmp_path)) == ["a.mp4"]
    assert left_out(tmp_path) == [
        "2 .wmv, 1 .ogv: this video format is not supported; convert them to MP4"
    ]


def test_folders_of_images_are_counted(tmp_path: Path) -> None:
    images = [f"{clip}/{frame:04}.png" for clip in ("one", "two") for frame in range(3)]
    plant(tmp_path, dict.fromkeys(["a.mp4", *images, "one/mask.JPG"], ""))
    assert left_out(tmp_path) == [
        "6 .png, 1 .jpg in 2 folders; frame folders are not read: give the videos"
    ]


def test_a_folder_with_only_images_says_that_frames_are_not_read(tmp_path: Path) -> None:
    plant(tmp_path, {"clip/0001.png": ""})
    with pytest.raises(DatasetError, match=r"no videos found .*frame folders are not read: give"):
        discover([tmp_path])


def test_archives_and_other_files_are_counted_and_lists_are_not(tmp_path: Path) -> None:
    names = ["a.mp4", "b.zip", "c.npy", "noext", "labels.csv", "metadata.json", "README.txt"]
    plant(tmp_path, dict.fromkeys(names, ""))
    assert left_out(tmp_path) == [
        "1 .zip: archives are not read; unpack them",
        "1 .npy, 1 without suffix: not videos by their suffix; give videos among them one by one",
    ]


def test_files_of_operating_systems_are_skipped_silently(tmp_path: Path) -> None:
    names = [
        "a.mp4", ".DS_Store", "._a.mp4", ".git/b.mp4", "__MACOSX/._a.mp4", "__MACOSX/c.mp4",
        "Thumbs.db", "desktop.ini", "@eaDir/a.mp4/thumb.jpg", "$RECYCLE.BIN/d.mp4",
    ]  # fmt: skip
    plant(tmp_path, dict.fromkeys(names, ""))
    assert list(by_id(tmp_path)) == ["a.mp4"]
    assert left_out(tmp_path) == []


def test_a_file_below_two_given_folders_is_counted_once(tmp_path: Path) -> None:
    plant(tmp_path, {"a.mp4": "", "sub/b.mp4": "", "sub/c.wmv": ""})
    counts = collect([tmp_path / "sub", tmp_path]).left_out.suffixes
    assert counts == {".wmv": 1}


def test_links_that_are_not_followed_are_counted(tmp_path: Path) -> None:
    root = plant(tmp_path / "in", {"a.mp4": ""})
    (root / "gone.mp4").symlink_to("nowhere.mp4")
    (root / "out1").symlink_to(plant(tmp_path / "out", {"b.mp4": ""}))
    (root / "out2.mp4").symlink_to(tmp_path / "out" / "b.mp4")
    assert left_out(root) == [
        f"links that lead out of the given folders: 2 ({root}/out1, …); --follow-links uses them",
        f"links that lead nowhere: 1 ({root}/gone.mp4)",
    ]


def test_a_folder_without_permission_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, {"a.mp4": "", "locked/b.mp4": ""})
    # The tests may run as root, who may read every folder.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    assert left_out(tmp_path) == [
        f"folders that cannot be read: 1 ({tmp_path}/locked); check their permissions"
    ]


def test_a_name_that_is_not_text_is_counted(tmp_path: Path) -> None:
    plant(tmp_path, {"a.mp4": ""})
    try:
        (tmp_path / os.fsdecode(b"b\xff.mp4")).touch()
    except OSError:
        pytest.skip("the file system accepts only text as names")
    assert list(by_id(tmp_path)) == ["a.mp4"]
    (line,) = left_out(tmp_path)
    assert line.startswith("file names that are not valid UTF-8: 1 (")


def test_the_page_lists_every_suffix_that_is_found() -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| found |"))
    assert set(re.findall(r"`(\.\w+)`", row)) == VIDEO_SUFFIXES
