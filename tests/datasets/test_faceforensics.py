from __future__ import annotations

import json
from pathlib import Path

import pytest
from trees import FACEFORENSICS, FACEFORENSICS_KAGGLE, by_id, find_data_sets, plant

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import DatasetError

ORIGINAL = "original_sequences/youtube/c23/videos"
ACTORS = "original_sequences/actors/c23/videos"
DEEPFAKES = "manipulated_sequences/Deepfakes/c23/videos"
FROM_ACTORS = "manipulated_sequences/DeepFakeDetection/c23/videos"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "FaceForensics++", FACEFORENSICS)


def test_labels_and_methods_come_from_folders_sources_from_names_splits_from_json(
    root: Path,
) -> None:
    facts = {
        Path(name).stem: (item.label, item.method, item.groups, item.split)
        for name, item in by_id(root).items()
    }
    assert facts == {
        "000": (REAL, "", ("000",), "train"),
        "003": (REAL, "", ("003",), "train"),
        "071": (REAL, "", ("071",), "validation"),
        "000_003": (FAKE, "Deepfakes", ("000", "003"), "train"),
        "071_054": (FAKE, "Face2Face", ("071", "054"), "validation"),
    }
    assert {item.dataset for item in by_id(root).values()} == {"faceforensics++"}


def test_clips_of_actors_are_grouped_by_actor_and_have_no_split(root: Path) -> None:
    plant(
        root,
        {
            f"{ACTORS}/01__exit_phone_room.mp4": "",
            f"{FROM_ACTORS}/01_02__walking_outside__ABCD.mp4": "",
        },
    )
    items = by_id(root)
    real, fake = (
        items[f"{ACTORS}/01__exit_phone_room.mp4"],
        items[f"{FROM_ACTORS}/01_02__walking_outside__ABCD.mp4"],
    )
    assert (real.label, real.groups, real.split) == (REAL, ("actor01",), "")
    assert (fake.label, fake.groups, fake.split) == (FAKE, ("actor01", "actor02"), "")
    assert fake.method == "DeepFakeDetection"


@pytest.mark.parametrize("compression", ["raw", "c0", "c40", "C40"])
def test_compressions_of_the_same_video_share_its_sources(root: Path, compression: str) -> None:
    other = f"manipulated_sequences/Deepfakes/{compression}/videos/000_003.mp4"
    items = by_id(plant(root, {other: ""}))
    assert items[other].groups == items[f"{DEEPFAKES}/000_003.mp4"].groups
    assert items[other].split == "train"


def test_mask_videos_are_paired_with_their_videos(root: Path) -> None:
    masks = "manipulated_sequences/Deepfakes/masks/videos"
    other = "manipulated_sequences/Deepfakes/c40/videos/000_003.mp4"
    before = by_id(root)
    items = by_id(plant(root, {f"{masks}/000_003.mp4": "", other: ""}))
    assert items.keys() == {*before, other}
    paired = {name for name, item in items.items() if item.mask_path}
    assert paired == {f"{DEEPFAKES}/000_003.mp4", other}
    assert {items[name].mask_path for name in paired} == {root / masks / "000_003.mp4"}
    (note,) = find_data_sets(root)[0].notes
    assert note == "1 videos of masks show the replaced regions of other videos"


def test_mask_videos_without_their_videos_are_skipped_with_a_note(root: Path) -> None:
    before = by_id(root)
    plant(root, {"manipulated_sequences/Face2Face/masks/videos/000_003.mp4": ""})
    assert by_id(root) == before
    assert "1 videos of masks are skipped" in find_data_sets(root)[0].notes[0]


def test_a_folder_with_only_mask_videos_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, {"manipulated_sequences/Deepfakes/masks/videos/000_003.mp4": ""})
    with pytest.raises(DatasetError, match=r"no videos to use.*masks"):
        find_data_sets(tmp_path)


def test_split_files_may_be_in_a_folder_called_splits(root: Path) -> None:
    before = by_id(root)
    (root / "splits").mkdir()
    for name in ("train.json", "val.json", "test.json"):
        (root / name).rename(root / "splits" / name)
    assert by_id(root) == before


@pytest.mark.parametrize(
    ("gone", "missing"),
    [(["val.json"], "val.json"), (["train.json", "test.json"], "train.json and test.json")],
)
def test_missing_split_files_are_named(root: Path, gone: list[str], missing: str) -> None:
    for name in gone:
        (root / name).unlink()
    with pytest.raises(DatasetError, match=f"lacks {missing}:"):
        find_data_sets(root)


def test_missing_split_files_mean_no_official_split_and_a_note(root: Path) -> None:
    for name in ("train.json", "val.json", "test.json"):
        (root / name).unlink()
    (data_set,) = find_data_sets(root)
    assert {item.split for item in data_set.items} == {""}
    assert "no official split" in data_set.notes[0]


def test_a_clip_whose_sources_are_in_different_splits_is_refused(root: Path) -> None:
    plant(root, {f"{DEEPFAKES}/000_071.mp4": ""})
    with pytest.raises(DatasetError, match=r"000 in train and 071 in validation.*000_071\.mp4"):
        find_data_sets(root)


def test_a_source_in_two_split_files_is_refused(root: Path) -> None:
    (root / "test.json").write_text('[["003", "999"]]')
    with pytest.raises(DatasetError, match=r"train\.json and in .*test\.json, so .*Received: 003"):
        find_data_sets(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"000": "003"}', "is not a list of pairs"),
        ("[[71, 54]]", r"pair 1 is not like .*Received: \[71, 54\]"),
        ('[["000", "003"], ["000"]]', r"pair 2 is not like"),
        ('[["000", "../003"]]', "pair 1 is not like"),
        ('["000_003"]', "pair 1 is not like"),
        ('[["000", "00', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff", "is not text in UTF-8"),
    ],
)
def test_a_malformed_split_file_is_refused(root: Path, content: str | bytes, message: str) -> None:
    plant(root, {"train.json": content})
    with pytest.raises(DatasetError, match=rf"train\.json.*{message}|train\.json {message}"):
        find_data_sets(root)


def test_a_split_file_may_begin_with_a_byte_order_mark(root: Path) -> None:
    before = by_id(root)
    (root / "train.json").write_text("\ufeff" + json.dumps([["000", "003"]]) + "\r\n\r\n")
    assert by_id(root) == before


def test_coverage_lists_the_videos_of_each_method(root: Path) -> None:
    (data_set,) = find_data_sets(root)
    assert [tuple(row) for row in data_set.coverage] == [
        ("youtube c23", 3, 1000),
        ("Deepfakes c23", 1, 1000),
        ("Face2Face c23", 1, 1000),
        ("FaceSwap c23", 0, 1000),
        ("NeuralTextures c23", 0, 1000),
        ("FaceShifter c23", 0, 1000),
    ]


def test_clips_without_a_source_in_their_name_are_counted_in_a_note(root: Path) -> None:
    items = by_id(plant(root, {f"{ORIGINAL}/holiday.mp4": ""}))
    assert items[f"{ORIGINAL}/holiday.mp4"].groups == ()
    assert (
        "1 videos have no source in their name: they are in no group"
        in find_data_sets(root)[0].notes
    )


def test_a_single_method_is_read_with_the_folders_above_it(root: Path) -> None:
    (item,) = by_id(root / DEEPFAKES).values()
    assert (item.video_id, item.label, item.method) == ("000_003.mp4", FAKE, "Deepfakes")
    assert item.split == "train"


def test_the_case_of_folder_names_is_ignored(tmp_path: Path) -> None:
    plant(tmp_path, {"Manipulated_Sequences/deepfakes/C23/Videos/000_003.mp4": ""})
    (item,) = by_id(tmp_path).values()
    assert (item.label, item.method) == (FAKE, "Deepfakes")


def test_an_unlisted_method_is_read_from_its_folder_name(root: Path) -> None:
    items = by_id(plant(root, {"manipulated_sequences/NewSwap/c23/videos/000_003.mp4": ""}))
    item = items["manipulated_sequences/NewSwap/c23/videos/000_003.mp4"]
    assert (item.label, item.method, item.split) == (FAKE, "NewSwap", "train")


KAGGLE = "FaceForensics++_C23"


def test_the_folders_of_kaggle_have_labels_methods_and_sources(tmp_path: Path) -> None:
    (data_set,) = find_data_sets(plant(tmp_path, FACEFORENSICS_KAGGLE))
    facts = {item.path.stem[:7]: (item.label, item.method, item.groups) for item in data_set.items}
    assert facts == {
        "000": (REAL, "", ("000",)),
        "003": (REAL, "", ("003",)),
        "000_003": (FAKE, "Deepfakes", ("000", "003")),
        "003_000": (FAKE, "NeuralTextures", ("003", "000")),
        "01_02__": (FAKE, "DeepFakeDetection", ("actor01", "actor02")),
    }
    assert (data_set.name, data_set.home) == ("faceforensics++", tmp_path / KAGGLE)


def test_the_csv_files_of_kaggle_say_what_is_missing(tmp_path: Path) -> None:
    (data_set,) = find_data_sets(plant(tmp_path, FACEFORENSICS_KAGGLE))
    rows = {row.what: (row.found, row.of) for row in data_set.coverage}
    assert rows["original c23"] == (2, 3)
    assert rows["Deepfakes c23"] == rows["DeepFakeDetection c23"] == (1, 1)
    assert rows["Face2Face c23"] == (0, 1000)


def test_a_csv_file_of_kaggle_that_contradicts_the_folders_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, FACEFORENSICS_KAGGLE)
    text = "File Path,Label\noriginal/000.mp4,REAL\noriginal\\003.mp4,FAKE\n"
    plant(tmp_path, {f"{KAGGLE}/csv/original.csv": text})
    with pytest.raises(DatasetError, match=r"original\.csv:3: the list contradicts the folder"):
        find_data_sets(tmp_path)


def test_the_official_split_is_used_beside_the_folders_of_kaggle(tmp_path: Path) -> None:
    plant(tmp_path, FACEFORENSICS_KAGGLE)
    lists = {"train.json": '[["000", "003"]]', "val.json": "[]", "test.json": "[]"}
    plant(tmp_path / KAGGLE, lists)
    splits = {item.path.stem[:7]: item.split for item in by_id(tmp_path).values()}
    assert splits.pop("01_02__") == ""
    assert set(splits.values()) == {"train"}


def test_the_originals_of_kaggle_may_be_in_a_folder_called_real(tmp_path: Path) -> None:
    plant(tmp_path, {"real/000.mp4": "", "Deepfakes/000_003.mp4": ""})
    (data_set,) = find_data_sets(tmp_path)
    assert {item.groups for item in data_set.items} == {("000",), ("000", "003")}


def test_methods_sorted_into_real_and_fake_share_the_sources_of_their_originals(
    tmp_path: Path,
) -> None:
    names = ["real/000.mp4", "fake/Deepfakes/000_003.mp4", "fake/FaceSwap/videos/000_003.mp4"]
    (data_set,) = find_data_sets(plant(tmp_path, dict.fromkeys(names, "")))
    assert (data_set.layout, data_set.home) == ("faceforensics", tmp_path)
    assert {item.groups for item in data_set.items} == {("000",), ("000", "003")}


def test_the_clips_of_actors_alone_are_grouped_by_actor(tmp_path: Path) -> None:
    names = ["DFD_original_sequences/01__exit.mp4", "DFD_manipulated_sequences/01_02__exit__A.mp4"]
    (data_set,) = find_data_sets(plant(tmp_path, dict.fromkeys(names, "")))
    facts = {(item.label, item.method, item.groups) for item in data_set.items}
    assert facts == {
        (REAL, "", ("actor01",)),
        (FAKE, "DeepFakeDetection", ("actor01", "actor02")),
    }
    assert [row.what for row in data_set.coverage] == ["actors", "DeepFakeDetection"]


def test_folders_with_the_same_names_but_other_videos_are_plain_folders(tmp_path: Path) -> None:
    plant(tmp_path, {"original/holiday.mp4": "", "Deepfakes/swap.mp4": "", "other/000.mp4": ""})
    (data_set,) = find_data_sets(tmp_path)
    assert (data_set.layout, [item.label for item in data_set.items]) == ("folders", [1, 0, -1])


@pytest.mark.parametrize("below", ["", "/c23", "/videos"])
def test_levels_of_the_published_folders_may_be_missing(below: str, tmp_path: Path) -> None:
    plant(tmp_path, {f"manipulated_sequences/FaceSwap{below}/000_003.mp4": ""})
    (item,) = by_id(tmp_path).values()
    assert (item.label, item.method, item.groups) == (FAKE, "FaceSwap", ("000", "003"))
