"""Contract of every layout."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from trees import (
    CELEB_DF,
    CELEB_DF_NESTED,
    DFDC,
    DFDC_LABELS_CSV,
    FACEFORENSICS,
    FACEFORENSICS_KAGGLE,
    FAKEAVCELEB,
    FOLDERS,
    by_id,
    find_data_sets,
    plant,
)

from deepfake_seq.commands import videos
from deepfake_seq.datasets import LAYOUTS, all_items, apply_labels
from deepfake_seq.datasets.survey import groups_in_several_splits
from deepfake_seq.errors import DatasetError

TREES: dict[str, tuple[str, Mapping[str, str]]] = {
    "celeb-df": ("celeb-df", CELEB_DF),
    "celeb-df in folders called videos": ("celeb-df", CELEB_DF_NESTED),
    "faceforensics": ("faceforensics", FACEFORENSICS),
    "faceforensics from Kaggle": ("faceforensics", FACEFORENSICS_KAGGLE),
    "dfdc": ("dfdc", DFDC),
    "dfdc with labels.csv": ("dfdc", DFDC_LABELS_CSV),
    "fakeavceleb": ("fakeavceleb", FAKEAVCELEB),
    "folders": ("folders", FOLDERS),
}
"""Name of the layout and files of each data set."""

LAYOUT_NAMES = sorted({layout for layout, _ in TREES.values()})
each = pytest.mark.parametrize(("layout", "tree"), TREES.values(), ids=TREES)
each_official = pytest.mark.parametrize(
    ("layout", "tree"),
    [row for row in TREES.values() if row[0] != "folders"],
    ids=[name for name in TREES if name != "folders"],
)
each_official_name = pytest.mark.parametrize("layout", sorted(set(LAYOUT_NAMES) - {"folders"}))


@pytest.fixture
def root(tmp_path: Path, tree: Mapping[str, str]) -> Path:
    return plant(tmp_path / "data" / "set", tree)


def test_the_commands_know_every_layout() -> None:
    assert set(videos.LAYOUTS) == {"auto", *LAYOUTS} == {"auto", *LAYOUT_NAMES}


@each
def test_a_layout_is_recognised_automatically_and_by_name(root: Path, layout: str) -> None:
    assert [data_set.layout for data_set in find_data_sets(root)] == [layout]
    assert find_data_sets(root) == find_data_sets(root, layout=layout)


@each
def test_the_parent_folder_may_be_given(root: Path, layout: str) -> None:
    above = {name.removeprefix("set/"): item for name, item in by_id(root.parent).items()}
    items = by_id(root)
    assert above.keys() == items.keys()
    for name, item in items.items():
        other = above[name]
        assert (item.label, item.groups, item.split) == (other.label, other.groups, other.split)
        assert (item.method, item.dataset) == (other.method, other.dataset)


@each
def test_every_subfolder_may_be_given_alone(root: Path, layout: str) -> None:
    for name, item in by_id(root).items():
        for folder in (root / name).parents:
            if folder == root:
                break
            (alone,) = (i for i in by_id(folder).values() if i.path.name == item.path.name)
            assert alone.video_id == (root / name).relative_to(folder).as_posix()
            assert (alone.label, alone.groups, alone.split) == (item.label, item.groups, item.split)
            assert (alone.method, alone.dataset) == (item.method, item.dataset)


@each
def test_every_video_is_in_one_data_set_with_its_path_unchanged(root: Path, layout: str) -> None:
    (data_set,) = find_data_sets(root)
    videos_there = {path.relative_to(root).as_posix() for path in root.rglob("*.mp4")}
    assert {item.video_id for item in data_set.items} == videos_there
    assert all(item.path == root / item.video_id for item in data_set.items)


@each_official
def test_real_clips_have_no_method_and_all_clips_name_their_data_set(
    root: Path, layout: str
) -> None:
    items = by_id(root).values()
    assert not [item for item in items if item.label == 0 and item.method]
    assert all(item.dataset for item in items)


@each_official_name
def test_a_video_in_the_root_directory_matches_no_layout(layout: str) -> None:
    assert LAYOUTS[layout].home(Path("/"), Path("/")) is None


@each_official_name
def test_a_layout_that_does_not_match_lists_the_expected_folders(
    tmp_path: Path, layout: str
) -> None:
    plant(tmp_path, FOLDERS)
    with pytest.raises(
        DatasetError, match=f"--dataset {layout} does not match: looked for"
    ) as caught:
        find_data_sets(tmp_path, layout=layout)
    assert str(caught.value).endswith(f"Received: {tmp_path}")


@each_official
def test_a_root_that_does_not_match_is_named(root: Path, layout: str, tmp_path: Path) -> None:
    other = plant(tmp_path / "other", FOLDERS)
    with pytest.raises(DatasetError, match=f"Received: {other}"):
        find_data_sets(root, other, layout=layout)


@each_official
def test_plain_folders_have_no_split_method_or_data_set(root: Path, layout: str) -> None:
    (data_set,) = find_data_sets(root, layout="folders")
    assert {(item.split, item.method, item.dataset) for item in data_set.items} == {("", "", "")}


@each_official
def test_a_csv_file_replaces_labels_from_the_layout(
    root: Path, layout: str, tmp_path: Path
) -> None:
    items = all_items(find_data_sets(root))
    rows = ["path,label,group,split,method"]
    rows += [f"{item.video_id},fake,somebody,train,mine" for item in items[:1]]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    labelled, _ = apply_labels(items, tmp_path / "labels.csv")
    facts = [(i.label, i.groups, i.split, i.method, i.dataset) for i in labelled]
    assert facts == [
        (1, ("somebody",), "train", "mine", ""),
        *[(-1, (), "", "", "")] * (len(items) - 1),
    ]


def test_different_data_sets_are_read_with_their_own_layouts(tmp_path: Path) -> None:
    roots = [plant(tmp_path / name, tree) for name, (_, tree) in TREES.items()]
    apart = find_data_sets(*roots)
    assert {data_set.layout for data_set in apart} == set(LAYOUT_NAMES)
    together = find_data_sets(tmp_path)
    assert {data_set.layout for data_set in together} == set(LAYOUT_NAMES)
    facts = [
        sorted((i.path, i.label, i.groups, i.split, i.method, i.dataset) for i in all_items(sets))
        for sets in (apart, together)
    ]
    assert facts[0] == facts[1]
    names = [item.video_id for item in all_items(apart)]
    assert names == sorted(names)


def test_a_data_set_given_twice_is_one(tmp_path: Path) -> None:
    root = plant(tmp_path / "set", CELEB_DF)
    assert by_id(root, root / "Celeb-real") == by_id(root)


def test_every_data_set_is_found_whatever_the_order_of_the_layouts(tmp_path: Path) -> None:
    for name, (layout, tree) in TREES.items():
        root = plant(tmp_path / name, tree)
        folders = {path.parent for path in root.rglob("*.mp4")}
        others = [LAYOUTS[other] for other in LAYOUTS if other not in (layout, "folders")]
        assert not [other for other in others for folder in folders if other.home(folder, root)]


def test_a_link_to_another_data_set_is_followed_only_on_request(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", CELEB_DF)
    root = plant(tmp_path / "in", FOLDERS)
    (root / "linked").symlink_to(outside)
    assert {data_set.layout for data_set in find_data_sets(root)} == {"folders"}
    followed = find_data_sets(root, follow_links=True)
    assert {data_set.name for data_set in followed} == {"folders", "celeb-df-v2"}


def test_identities_in_both_official_splits_are_listed(tmp_path: Path) -> None:
    root = plant(tmp_path / "set", CELEB_DF)
    assert groups_in_several_splits(all_items(find_data_sets(root))) == ["id0", "id1"]
    shutil.rmtree(root / "Celeb-synthesis")
    assert groups_in_several_splits(all_items(find_data_sets(root))) == []


@each_official
def test_a_damaged_list_is_read_or_refused_but_never_a_crash(root: Path, layout: str) -> None:
    lists = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".mp4"]
    generator = random.Random(0)
    for path in lists:
        content = path.read_bytes()
        for _ in range(40):
            data = bytearray(content)
            start = generator.randrange(len(data))
            data[start : start + generator.randrange(4)] = generator.choice(
                [b"\xff", b"\0", b'"', b"\n", b",", b";", b"../", b"[", b"}", b"99", b"\r\n\t"]
            )
            path.write_bytes(data)
            try:
                data_sets = find_data_sets(root)
            except DatasetError as error:
                assert str(path.name) in str(error) or layout == "faceforensics"
                assert len(str(error)) < 1000
            else:
                assert all(item.path.is_relative_to(root) for item in all_items(data_sets))
        path.write_bytes(content)
