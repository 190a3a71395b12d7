from __future__ import annotations

from pathlib import Path

import pytest

from deepfake_seq.datasets import FAKE, REAL, apply_labels, discover
from deepfake_seq.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_root_given_as_dots_has_its_folders_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "real/sub/notes.txt", "real/a.mp4")
    monkeypatch.chdir(tmp_path / "real")
    assert discover([Path()])[0][0].label == REAL
    monkeypatch.chdir(tmp_path / "real" / "sub")
    assert discover([Path("..")])[0][0].label == REAL


def test_a_csv_path_may_climb_out_of_the_csvs_folder(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "labels/x")
    csv_path = tmp_path / "labels" / "labels.csv"
    csv_path.write_text("path,label\n../videos/a.mp4,fake\n")
    (item,), unused = apply_labels(discover([tmp_path / "videos"])[0], csv_path)
    assert (item.label, unused) == (FAKE, [])


def test_a_csv_path_may_begin_with_a_dot(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "labels.csv").write_text("path,label\n./a.mp4,fake\n")
    (item,), unused = apply_labels(discover([tmp_path])[0], tmp_path / "labels.csv")
    assert (item.label, unused) == (FAKE, [])


def test_rows_that_name_one_video_in_two_ways_and_contradict_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "labels.csv").write_text(f"path,label\na.mp4,fake\n{tmp_path}/a.mp4,real\n")
    with pytest.raises(DatasetError):
        apply_labels(discover([tmp_path])[0], tmp_path / "labels.csv")


def test_one_file_found_by_two_roots_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.mp4")
    assert len(discover([tmp_path, tmp_path / "real"])[0]) == 1
