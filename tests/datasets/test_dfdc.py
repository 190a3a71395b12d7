from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trees import DFDC, DFDC_LABELS_CSV, by_id, find_data_sets, plant

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN
from deepfake_seq.errors import DatasetError

FOLDER = "dfdc_train_part_0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "dfdc", DFDC)


def rewrite(root: Path, metadata: Any) -> None:
    (root / FOLDER / "metadata.json").write_text(json.dumps(metadata))


def test_a_fake_and_its_original_are_in_one_group(root: Path) -> None:
    facts = {Path(name).stem: (item.label, item.groups) for name, item in by_id(root).items()}
    assert facts == {"fake": (FAKE, ("real.mp4",)), "real": (REAL, ("real.mp4",))}


def test_the_split_field_is_ignored(root: Path) -> None:
    items = by_id(root).values()
    assert {(item.split, item.method, item.dataset) for item in items} == {("", "", "dfdc")}


def test_several_dfdc_folders_are_one_data_set(root: Path) -> None:
    metadata = json.dumps({"other.mp4": {"label": "FAKE", "original": "real.mp4"}})
    plant(root, {"dfdc_train_part_1/other.mp4": "", "dfdc_train_part_1/metadata.json": metadata})
    (data_set,) = find_data_sets(root)
    assert [tuple(row) for row in data_set.coverage] == [("metadata.json", 3, 3)]
    assert not data_set.is_partial
    groups = {group for item in data_set.items for group in item.groups}
    assert groups == {"real.mp4"}


def test_entries_without_a_file_and_files_without_an_entry_are_counted(root: Path) -> None:
    rewrite(
        root, {"fake.mp4": {"label": "FAKE", "original": "x.mp4"}, "gone.mp4": {"label": "REAL"}}
    )
    (data_set,) = find_data_sets(root)
    assert [tuple(row) for row in data_set.coverage] == [("metadata.json", 1, 2)]
    assert data_set.notes == ("1 videos are missing from their metadata.json: no label",)
    unlabelled = by_id(root)[f"{FOLDER}/real.mp4"]
    assert (unlabelled.label, unlabelled.groups) == (UNKNOWN, ())


@pytest.mark.parametrize("label", ["fake", " FAKE ", "Fake"])
def test_case_and_spaces_of_a_label_are_ignored(root: Path, label: str) -> None:
    rewrite(root, {"fake.mp4": {"label": label, "original": "real.mp4"}})
    assert by_id(root)[f"{FOLDER}/fake.mp4"].label == FAKE


@pytest.mark.parametrize("label", ["MAYBE", "", 1, None, ["FAKE"], {"FAKE": 1}])
def test_an_unknown_label_is_reported_with_its_entry(root: Path, label: Any) -> None:
    rewrite(root, {"fake.mp4": {"label": label}})
    with pytest.raises(DatasetError, match=r"metadata\.json: entry 'fake\.mp4': the label must be"):
        find_data_sets(root)


@pytest.mark.parametrize(
    "original", ["../real.mp4", "/real.mp4", "", "..", 7, "a\0b", "x" * 10_000]
)
def test_an_original_that_is_not_a_file_name_is_refused(root: Path, original: Any) -> None:
    rewrite(root, {"fake.mp4": {"label": "FAKE", "original": original}})
    with pytest.raises(DatasetError, match=r"entry 'fake\.mp4': `original` must be") as caught:
        find_data_sets(root)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"fake.mp4": {"label": "FA', r"metadata\.json is not JSON"),
        ('["fake.mp4"]', r"metadata\.json must map file names"),
        ('{"fake.mp4": "FAKE"}', r"entry 'fake\.mp4' must be like"),
        (b"\xff\xfe", r"metadata\.json is not text in UTF-8"),
        ("[" * 100_000, r"metadata\.json is not JSON"),
        ("9" * 5_000, r"metadata\.json is not JSON"),
    ],
)
def test_malformed_metadata_is_refused(root: Path, content: str | bytes, message: str) -> None:
    plant(root, {f"{FOLDER}/metadata.json": content})
    with pytest.raises(DatasetError, match=message):
        find_data_sets(root)


def test_an_entry_with_a_path_outside_the_folder_matches_no_video(tmp_path: Path) -> None:
    plant(tmp_path, {"secret.mp4": "", "in/real.mp4": ""})
    outside = {"label": "FAKE", "original": "a.mp4"}
    entries = {"../secret.mp4": outside, f"{tmp_path}/secret.mp4": outside}
    plant(tmp_path, {"in/metadata.json": json.dumps(entries)})
    (data_set,) = find_data_sets(tmp_path / "in")
    assert [(item.video_id, item.label) for item in data_set.items] == [("real.mp4", UNKNOWN)]
    assert [tuple(row) for row in data_set.coverage] == [("metadata.json", 0, 2)]


@pytest.mark.parametrize("content", ['{"title": "My holidays"}', '["real.mp4"]', "7"])
def test_an_unrelated_metadata_file_is_not_recognised_as_dfdc(tmp_path: Path, content: str) -> None:
    plant(tmp_path, {"real/a.mp4": "", "real/metadata.json": content})
    (item,) = by_id(tmp_path).values()
    assert (item.label, item.dataset) == (REAL, "")


def test_labels_and_originals_come_from_labels_csv(tmp_path: Path) -> None:
    (data_set,) = find_data_sets(plant(tmp_path, DFDC_LABELS_CSV))
    facts = {item.path.stem: (item.label, item.groups, item.dataset) for item in data_set.items}
    assert facts == {
        "aaaaaaaaaa": (FAKE, ("bbbbbbbbbb.mp4",), "dfdc"),
        "bbbbbbbbbb": (REAL, ("bbbbbbbbbb.mp4",), "dfdc"),
    }
    assert [tuple(row) for row in data_set.coverage] == [("labels.csv", 2, 2)]


def test_a_labels_csv_of_another_data_set_is_read_and_counted_under_its_own_name(
    tmp_path: Path,
) -> None:
    text = "filename,label\nholiday.mp4,REAL\nswap,FAKE\ngone.mp4,FAKE\n"
    plant(tmp_path, {"holiday.mp4": "", "swap.mp4": "", "labels.csv": text})
    (data_set,) = find_data_sets(tmp_path)
    facts = [(item.path.name, item.label, item.dataset) for item in data_set.items]
    assert facts == [("holiday.mp4", REAL, ""), ("swap.mp4", FAKE, "")]
    assert data_set.name == "labels.csv"
    assert [tuple(row) for row in data_set.coverage] == [("labels.csv", 2, 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,label\na.mp4,FAKE\nb.mp4,MAYBE\n", r"labels\.csv:3: the label must be"),
        ("filename,label\na.mp4,FAKE\n../b.mp4,REAL\n", r"labels\.csv:3: `filename` must be"),
        ("filename,label\na.mp4,FAKE\na.mp4,REAL\n", r"labels\.csv:3: an earlier row .* differs"),
        ("filename,label,original\na.mp4,FAKE,../b\n", r"labels\.csv:2: `original` must be"),
    ],
)
def test_a_malformed_labels_csv_is_refused_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    plant(tmp_path, {"a.mp4": "", "labels.csv": text})
    with pytest.raises(DatasetError, match=message):
        find_data_sets(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["filename,label\na.mp4,happy\n", "path,label\na.mp4,FAKE\n", b"filename,label\n\xff"],
)
def test_an_unrelated_labels_csv_is_ignored(content: str | bytes, tmp_path: Path) -> None:
    plant(tmp_path, {"real/a.mp4": "", "real/labels.csv": content})
    (item,) = by_id(tmp_path).values()
    assert (item.label, item.dataset) == (REAL, "")
