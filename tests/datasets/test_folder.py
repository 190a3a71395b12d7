from __future__ import annotations

from pathlib import Path

import pytest

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, discover
from deepfake_seq.errors import DatasetError, UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_videos_are_found_to_the_bottom_in_a_fixed_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/deep/c.MKV", "notes.txt", ".hidden.mp4", ".git/x.mp4")
    assert [item.video_id for item in discover([tmp_path])] == ["a/deep/c.MKV", "b.mp4"]


def test_the_nearest_telling_folder_gives_the_label(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "real/a.mp4",
        "FAKE/b.mp4",
        "fake/real/c.mp4",
        "Celeb-real/d.mp4",
        "YouTube-real/e.mp4",
        "Celeb-synthesis/f.mp4",
        "other/g.mp4",
    )
    labels = {item.video_id[-5]: item.label for item in discover([tmp_path])}
    assert labels == {
        "a": REAL,
        "b": FAKE,
        "c": REAL,
        "d": REAL,
        "e": REAL,
        "f": FAKE,
        "g": UNKNOWN,
    }


def test_a_folder_above_the_root_tells_nothing_but_the_roots_own_name_does(tmp_path: Path) -> None:
    touch(tmp_path, "real/project/a.mp4", "real/b.mp4")
    assert discover([tmp_path / "real" / "project"])[0].label == UNKNOWN
    assert discover([tmp_path / "real"])[0].label == REAL


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "fake/-odd name")
    (item,) = discover([tmp_path / "fake" / "-odd name"])
    assert (item.video_id, item.label) == ("-odd name", FAKE)


def test_celeb_df_names_tell_who_is_in_the_clip(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Celeb-synthesis/id0_id16_0003.mp4",
        "Celeb-real/id7_0001.mp4",
        "YouTube-real/00012.mp4",
        "real/id0_id1_0001.mp4",
    )
    groups = {Path(item.video_id).stem: item.groups for item in discover([tmp_path])}
    assert groups == {
        "id0_id16_0003": ("id0", "id16"),
        "id7_0001": ("id7",),
        "00012": (),
        "id0_id1_0001": (),
    }


def test_two_files_that_would_share_an_id_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4", "two/a.mp4")
    with pytest.raises(UsageError, match=r"both be called a\.mp4"):
        discover([tmp_path / "one", tmp_path / "two"])


def test_the_same_file_given_twice_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert len(discover([tmp_path, tmp_path / "a.mp4"])) == 1


def test_a_missing_path_and_an_empty_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        discover([tmp_path / "gone"])
    with pytest.raises(DatasetError, match="no videos found in"):
        discover([tmp_path])
