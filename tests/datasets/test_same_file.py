"""Several paths of the same file, through links."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from trees import CELEB_DF, plant

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, collect, discover
from deepfake_seq.datasets.discovery import MAX_FOLDER_NAMES
from deepfake_seq.errors import DatasetError


def test_a_linked_clip_keeps_the_label_of_its_class_folder(tmp_path: Path) -> None:
    """Whatever the alphabetical order of the folders."""
    plant(tmp_path, {"fake/a.mp4": "", "real/b.mp4": "", "all_videos/notes.txt": ""})
    for name in ("fake/a.mp4", "real/b.mp4"):
        (tmp_path / "all_videos" / Path(name).name).symlink_to(tmp_path / name)
    collection = collect([tmp_path])
    facts = [(item.video_id, item.label) for item in collection.items]
    assert facts == [("fake/a.mp4", FAKE), ("real/b.mp4", REAL)]
    assert collection.other_names == 2
    assert [len(data_set.items) for data_set in collection.data_sets] == [2]


def test_a_label_wins_over_no_label_even_if_it_comes_from_the_link(tmp_path: Path) -> None:
    plant(tmp_path, {"all_videos/a.mp4": "", "fake/notes.txt": ""})
    (tmp_path / "fake" / "a.mp4").symlink_to(tmp_path / "all_videos" / "a.mp4")
    (item,) = collect([tmp_path]).items
    assert (item.video_id, item.label) == ("fake/a.mp4", FAKE)


@pytest.mark.parametrize("make_link", [os.symlink, os.link])
def test_contradicting_labels_of_one_file_are_an_error_that_names_its_paths(
    tmp_path: Path, make_link: object
) -> None:
    plant(tmp_path, {"real/a.mp4": "", "fake/notes.txt": ""})
    assert callable(make_link)
    make_link(tmp_path / "real" / "a.mp4", tmp_path / "fake" / "b.mp4")
    with pytest.raises(DatasetError, match="contradict each other") as caught:
        collect([tmp_path])
    message = str(caught.value)
    assert f"real as {tmp_path}/real/a.mp4" in message
    assert f"fake as {tmp_path}/fake/b.mp4" in message


def test_a_linked_folder_does_not_turn_real_clips_into_fakes(tmp_path: Path) -> None:
    plant(tmp_path, {"real/a.mp4": "", "real/b.mp4": "", "fake/c.mp4": ""})
    (tmp_path / "fake" / "sources").symlink_to(tmp_path / "real")
    with pytest.raises(DatasetError, match=r"1 more files are contradictory.*fake/sources/a\.mp4"):
        collect([tmp_path])
    (tmp_path / "fake" / "sources").rename(tmp_path / "fake" / "originals")
    facts = [(item.video_id, item.label) for item in collect([tmp_path]).items]
    assert facts == [("fake/c.mp4", FAKE), ("real/a.mp4", REAL), ("real/b.mp4", REAL)]


def test_a_csv_file_decides_about_contradicting_paths(tmp_path: Path) -> None:
    plant(tmp_path, {"real/a.mp4": "", "fake/notes.txt": ""})
    (tmp_path / "fake" / "b.mp4").symlink_to(tmp_path / "real" / "a.mp4")
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\nfake/b.mp4,fake\n")
    (item,) = collect([tmp_path], labels=labels).items
    assert (item.video_id, item.label) == ("fake/b.mp4", FAKE)
    labels.write_text("path,label\nfake/b.mp4,fake\nreal/a.mp4,real\n")
    with pytest.raises(DatasetError, match="contradict each other"):
        collect([tmp_path], labels=labels)


def test_the_id_does_not_depend_on_the_order_of_the_paths(tmp_path: Path) -> None:
    root = plant(tmp_path / "set", {"real/z.mp4": "", "more/notes.txt": ""})
    for name in ("real/a.mp4", "more/b.mp4"):
        (root / name).symlink_to(root / "real" / "z.mp4")
    ids = {
        tuple(item.video_id for item in collect(paths).items)
        for paths in ([root], [root, root / "real"], [root / "real", root], [root / "more", root])
    }
    assert ids == {("real/z.mp4",)}  # the file itself, not a link; below the outermost folder


def test_identities_and_splits_are_kept_if_one_path_has_them(tmp_path: Path) -> None:
    root = plant(tmp_path, CELEB_DF)
    (root / "a_fakes").mkdir()
    name = "Celeb-synthesis/id0_id1_0000.mp4"
    (root / name).rename(root / "a_fakes" / "swap.mp4")
    (root / name).symlink_to(root / "a_fakes" / "swap.mp4")
    (item,) = (item for item in collect([root]).items if item.label == FAKE)
    assert (item.video_id, item.groups, item.split) == (name, ("id0", "id1"), "test")


def test_paths_in_different_official_splits_are_an_error(tmp_path: Path) -> None:
    plant(tmp_path, {"a.mp4": ""})
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "labels.csv").write_text("path,label,split\na.mp4,1,train\nb.mp4,1,test\n")
    with pytest.raises(DatasetError, match=r"train as .*a\.mp4 and test as .*b\.mp4"):
        collect([tmp_path], labels=tmp_path / "labels.csv")


def test_a_data_set_of_links_beside_other_clips_is_still_of_the_requested_layout(
    tmp_path: Path,
) -> None:
    celeb = plant(tmp_path / "celeb", CELEB_DF)
    mine = plant(tmp_path / "mine", {"clips/a.mp4": ""})
    (mine / "Celeb-real").symlink_to(celeb / "Celeb-real")
    collection = collect([celeb, mine], layout="celeb-df")
    assert [data_set.layout for data_set in collection.data_sets] == ["celeb-df", "folders"]
    assert len(collection.items) == 5 and collection.other_names == 2


def test_links_in_circles_and_to_nothing_end_the_search(tmp_path: Path) -> None:
    plant(tmp_path, {"one/a.mp4": "", "two/notes.txt": ""})
    (tmp_path / "one" / "two").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    collection = collect([tmp_path])
    facts = [(item.video_id, item.label) for item in collection.items]
    assert facts == [("one/a.mp4", UNKNOWN)]
    broken = sorted(path.name for path in collection.left_out.broken_links)
    assert broken == ["gone.mp4", "self.mp4"]


def test_folders_that_link_to_each_other_in_layers_do_not_multiply_without_end(
    tmp_path: Path,
) -> None:
    layers = [tmp_path / f"layer{number}" for number in range(20)]
    for layer, below in pairwise(layers):
        layer.mkdir()
        for name in ("left", "right"):
            (layer / name).symlink_to(below)
    plant(layers[-1], {"a.mp4": ""})
    with pytest.raises(DatasetError, match=f"more than {MAX_FOLDER_NAMES} names"):
        discover([tmp_path])
