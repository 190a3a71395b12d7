from __future__ import annotations

from pathlib import Path

import pytest
from trees import by_id

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, collect, discover
from deepfake_seq.errors import DatasetError, UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_videos_are_found_recursively_in_a_fixed_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/deep/c.MKV", "notes.txt", ".hidden.mp4", ".git/x.mp4")
    assert list(by_id(tmp_path)) == ["a/deep/c.MKV", "b.mp4"]


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
    labels = {name[-5]: item.label for name, item in by_id(tmp_path).items()}
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
    assert by_id(tmp_path / "real" / "project")["a.mp4"].label == UNKNOWN
    assert by_id(tmp_path / "real")["b.mp4"].label == REAL


def test_a_file_given_directly_may_have_any_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "fake/-odd name")
    (item,) = by_id(tmp_path / "fake" / "-odd name").values()
    assert (item.video_id, item.label) == ("-odd name", FAKE)


def test_celeb_df_file_names_contain_the_identities(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Celeb-synthesis/id0_id16_0003.mp4",
        "Celeb-real/id7_0001.mp4",
        "YouTube-real/00012.mp4",
        "real/id0_id1_0001.mp4",
    )
    groups = {Path(name).stem: item.groups for name, item in by_id(tmp_path).items()}
    assert groups == {
        "id0_id16_0003": ("id0", "id16"),
        "id7_0001": ("id7",),
        "00012": (),
        "id0_id1_0001": (),
    }


def test_two_files_with_the_same_id_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4", "two/a.mp4")
    with pytest.raises(UsageError, match=r"have the same id a\.mp4"):
        discover([tmp_path / "one", tmp_path / "two"])


def test_the_same_file_given_twice_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert list(by_id(tmp_path, tmp_path / "a.mp4")) == ["a.mp4"]


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        discover([tmp_path / "gone"])
    with pytest.raises(DatasetError, match="no videos found in"):
        discover([tmp_path])


def found(*paths: Path, follow_links: bool = False) -> tuple[list[str], list[Path]]:
    """Return the ids of the videos, and the links that are left out."""
    collection = collect(paths, follow_links=follow_links)
    return [item.video_id for item in collection.items], collection.left_out.links


def test_links_are_followed_only_inside_the_given_folders(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "out/b.mp4")
    (tmp_path / "in" / "inside.mp4").symlink_to(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "outside.mp4").symlink_to(tmp_path / "out" / "b.mp4")
    assert found(tmp_path / "in") == (["a.mp4"], [tmp_path / "in" / "outside.mp4"])
    assert found(tmp_path / "in", follow_links=True) == (["a.mp4", "outside.mp4"], [])
    assert found(tmp_path / "in", tmp_path / "out") == (["a.mp4", "b.mp4"], [])


def test_a_link_given_directly_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "b.mp4")
    assert found(tmp_path / "link.mp4") == (["link.mp4"], [])


def test_a_folder_with_only_links_suggests_follow_links(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "in/notes.txt")
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "b.mp4")
    with pytest.raises(DatasetError, match=r"links that lead out .*: 1 .*--follow-links uses them"):
        discover([tmp_path / "in"])


def test_a_linked_folder_is_searched_only_inside_the_given_folders(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "out/deep/b.mp4")
    (tmp_path / "in" / "outside").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "back").symlink_to(tmp_path / "in")
    assert found(tmp_path / "in") == (["a.mp4"], [tmp_path / "in" / "outside"])
    assert found(tmp_path / "in", follow_links=True) == (["a.mp4", "outside/deep/b.mp4"], [])
