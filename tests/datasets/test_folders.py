from __future__ import annotations

from pathlib import Path

import pytest

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, discover
from deepfake_seq.errors import DatasetError, UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_videos_are_found_recursively_in_a_fixed_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/deep/c.MKV", "notes.txt", ".hidden.mp4", ".git/x.mp4")
    assert [item.video_id for item in discover([tmp_path])[0]] == ["a/deep/c.MKV", "b.mp4"]


def test_the_nearest_labelled_folder_sets_the_label(tmp_path: Path) -> None:
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
    labels = {item.video_id[-5]: item.label for item in discover([tmp_path])[0]}
    assert labels == {
        "a": REAL,
        "b": FAKE,
        "c": REAL,
        "d": REAL,
        "e": REAL,
        "f": FAKE,
        "g": UNKNOWN,
    }


def test_the_name_of_the_root_sets_the_label_but_folders_above_it_do_not(tmp_path: Path) -> None:
    touch(tmp_path, "real/project/a.mp4", "real/b.mp4")
    assert discover([tmp_path / "real" / "project"])[0][0].label == UNKNOWN
    assert discover([tmp_path / "real"])[0][0].label == REAL


def test_a_file_given_directly_may_have_any_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "fake/-odd name")
    (item,) = discover([tmp_path / "fake" / "-odd name"])[0]
    assert (item.video_id, item.label) == ("-odd name", FAKE)


def test_celeb_df_file_names_contain_the_identities(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Celeb-synthesis/id0_id16_0003.mp4",
        "Celeb-real/id7_0001.mp4",
        "YouTube-real/00012.mp4",
        "real/id0_id1_0001.mp4",
    )
    groups = {Path(item.video_id).stem: item.groups for item in discover([tmp_path])[0]}
    assert groups == {
        "id0_id16_0003": ("id0", "id16"),
        "id7_0001": ("id7",),
        "00012": (),
        "id0_id1_0001": (),
    }


def test_two_files_with_the_same_id_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4", "two/a.mp4")
    with pytest.raises(UsageError, match=r"have the same id a\.mp4"):
        discover([tmp_path / "one", tmp_path / "two"])[0]


def test_the_same_file_given_twice_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert len(discover([tmp_path, tmp_path / "a.mp4"])[0]) == 1


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        discover([tmp_path / "gone"])[0]
    with pytest.raises(DatasetError, match="no videos found in"):
        discover([tmp_path])[0]


def test_links_are_followed_only_inside_the_given_folders(tmp_path: Path) -> None:
    for name in ("in/a.mp4", "out/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "in" / "inside.mp4").symlink_to(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "outside.mp4").symlink_to(tmp_path / "out" / "b.mp4")
    items, links = discover([tmp_path / "in"])
    assert [item.video_id for item in items] == ["a.mp4"]
    assert links == [tmp_path / "in" / "outside.mp4"]
    items, links = discover([tmp_path / "in"], follow_links=True)
    assert [item.video_id for item in items] == ["a.mp4", "outside.mp4"]
    assert links == []
    assert len(discover([tmp_path / "in", tmp_path / "out"])[0]) == 2


def test_a_link_given_directly_is_followed(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "b.mp4")
    (item,), links = discover([tmp_path / "link.mp4"])
    assert (item.video_id, links) == ("link.mp4", [])


def test_a_folder_with_only_links_suggests_follow_links(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "b.mp4")
    with pytest.raises(DatasetError, match="Use --follow-links for 1 links"):
        discover([tmp_path / "in"])


def test_a_linked_folder_is_searched_only_inside_the_given_folders(tmp_path: Path) -> None:
    for name in ("in/a.mp4", "out/deep/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "in" / "outside").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "back").symlink_to(tmp_path / "in")
    items, links = discover([tmp_path / "in"])
    assert [item.video_id for item in items] == ["a.mp4"]
    assert links == [tmp_path / "in" / "outside"]
    items, links = discover([tmp_path / "in"], follow_links=True)
    assert [item.video_id for item in items] == ["a.mp4", "outside/deep/b.mp4"]
    assert links == []
