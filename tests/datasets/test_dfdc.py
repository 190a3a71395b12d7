from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trees import DFDC, by_id, found, plant

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN
from deepfake_seq.errors import DatasetError

PART = "dfdc_train_part_0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "dfdc", DFDC)


def rewrite(root: Path, metadata: Any) -> None:
    (root / PART / "metadata.json").write_text(json.dumps(metadata))


def test_a_fake_and_its_original_are_in_one_group(root: Path) -> None:
    told = {Path(name).stem: (item.label, item.groups) for name, item in by_id(root).items()}
    assert told == {"fake": (FAKE, ("real.mp4",)), "real": (REAL, ("real.mp4",))}


def test_its_split_is_train_throughout_and_so_is_none(root: Path) -> None:
    items = by_id(root).values()
    assert {(item.split, item.method, item.dataset) for item in items} == {("", "", "dfdc")}


def test_parts_side_by_side_are_one_data_set(root: Path) -> None:
    metadata = json.dumps({"other.mp4": {"label": "FAKE", "original": "real.mp4"}})
    plant(root, {"dfdc_train_part_1/other.mp4": "", "dfdc_train_part_1/metadata.json": metadata})
    (data_set,) = found(root)
    assert [tuple(row) for row in data_set.coverage] == [("metadata.json", 3, 3)]
    assert not data_set.is_partial
    groups = {group for item in data_set.items for group in item.groups}
    assert groups == {"real.mp4"}


def test_entries_without_a_file_and_files_without_an_entry_are_counted(root: Path) -> None:
    rewrite(
        root, {"fake.mp4": {"label": "FAKE", "original": "x.mp4"}, "gone.mp4": {"label": "REAL"}}
    )
    (data_set,) = found(root)
    assert [tuple(row) for row in data_set.coverage] == [("metadata.json", 1, 2)]
    assert data_set.notes == ("1 videos are not in their metadata.json: they are unlabelled",)
    unlabelled = by_id(root)[f"{PART}/real.mp4"]
    assert (unlabelled.label, unlabelled.groups) == (UNKNOWN, ())


@pytest.mark.parametrize("label", ["fake", " FAKE ", "Fake"])
def test_a_label_may_be_written_otherwise(root: Path, label: str) -> None:
    rewrite(root, {"fake.mp4": {"label": label, "original": "real.mp4"}})
    assert by_id(root)[f"{PART}/fake.mp4"].label == FAKE


@pytest.mark.parametrize("label", ["MAYBE", "", 1, None, ["FAKE"], {"FAKE": 1}])
def test_an_unknown_label_is_refused_with_its_entry(root: Path, label: Any) -> None:
    rewrite(root, {"fake.mp4": {"label": label}})
    with pytest.raises(DatasetError, match=r"metadata\.json: entry 'fake\.mp4': unknown label"):
        found(root)


@pytest.mark.parametrize(
    "original", ["../real.mp4", "/real.mp4", "", "..", 7, "a\0b", "x" * 10_000]
)
def test_an_original_that_is_no_file_name_is_refused(root: Path, original: Any) -> None:
    rewrite(root, {"fake.mp4": {"label": "FAKE", "original": original}})
    with pytest.raises(DatasetError, match=r"entry 'fake\.mp4': the original must be") as caught:
        found(root)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"fake.mp4": {"label": "FA', r"metadata\.json is not JSON"),
        ('["fake.mp4"]', r"metadata\.json must be a mapping"),
        ('{"fake.mp4": "FAKE"}', r"entry 'fake\.mp4' must be like"),
        (b"\xff\xfe", r"metadata\.json is not a text in UTF-8"),
        ("[" * 100_000, r"metadata\.json is not JSON"),
        ("9" * 5_000, r"metadata\.json is not JSON"),
    ],
)
def test_metadata_of_another_shape_is_refused(
    root: Path, content: str | bytes, message: str
) -> None:
    plant(root, {f"{PART}/metadata.json": content})
    with pytest.raises(DatasetError, match=message):
        found(root)


def test_an_entry_that_leads_outside_matches_nothing(tmp_path: Path) -> None:
    plant(tmp_path, {"secret.mp4": "", "in/real.mp4": ""})
    outside = {"label": "FAKE", "original": "a.mp4"}
    entries = {"../secret.mp4": outside, f"{tmp_path}/secret.mp4": outside}
    plant(tmp_path, {"in/metadata.json": json.dumps(entries)})
    (data_set,) = found(tmp_path / "in")
    assert [(item.video_id, item.label) for item in data_set.items] == [("real.mp4", UNKNOWN)]
    assert [tuple(row) for row in data_set.coverage] == [("metadata.json", 0, 2)]


@pytest.mark.parametrize("content", ['{"title": "My holidays"}', '["real.mp4"]', "7"])
def test_a_metadata_file_of_something_else_makes_no_dfdc(tmp_path: Path, content: str) -> None:
    plant(tmp_path, {"real/a.mp4": "", "real/metadata.json": content})
    (item,) = by_id(tmp_path).values()
    assert (item.label, item.dataset) == (REAL, "")
