from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import CELEB_DF, CELEB_DF_NESTED, by_id, find_data_sets, plant

from deepfake_seq.datasets import FAKE, REAL, lists
from deepfake_seq.errors import DatasetError

LIST = "List_of_testing_videos.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "Celeb-DF-v2", CELEB_DF)


def test_labels_come_from_folders_and_identities_from_file_names(root: Path) -> None:
    facts = {name: (item.label, item.groups, item.method) for name, item in by_id(root).items()}
    assert facts == {
        "Celeb-real/id0_0000.mp4": (REAL, ("id0",), ""),
        "Celeb-real/id1_0000.mp4": (REAL, ("id1",), ""),
        "Celeb-synthesis/id0_id1_0000.mp4": (FAKE, ("id0", "id1"), "Celeb-synthesis"),
        "YouTube-real/00170.mp4": (REAL, (), ""),
    }


def test_listed_videos_are_in_the_test_split_and_others_in_none(root: Path) -> None:
    assert {name: item.split for name, item in by_id(root).items()} == {
        "Celeb-real/id0_0000.mp4": "",
        "Celeb-real/id1_0000.mp4": "",
        "Celeb-synthesis/id0_id1_0000.mp4": "test",
        "YouTube-real/00170.mp4": "test",
    }


@pytest.mark.parametrize(
    ("line", "label", "folder"),
    [
        ("0 YouTube-real/00170.mp4", "fake", "YouTube-real are real"),
        ("0 Celeb-real/id0_0000.mp4", "fake", "Celeb-real are real"),
        ("1 Celeb-synthesis/id0_id1_0000.mp4", "real", "Celeb-synthesis are fake"),
    ],
)
def test_a_list_with_inverted_labels_is_refused(
    root: Path, line: str, label: str, folder: str
) -> None:
    (root / LIST).write_text(f"1 Celeb-real/id1_0000.mp4\n{line}\n")
    with pytest.raises(DatasetError) as caught:
        find_data_sets(root)
    message = str(caught.value)
    assert f"{LIST}:2: the list labels this video {label} ({line[0]}; 1 means real" in message
    assert f"but videos in {folder}" in message
    assert message.endswith(f"Received: '{line}'")


@pytest.mark.parametrize(
    "line",
    [
        "YouTube-real/00170.mp4",
        "2 YouTube-real/00170.mp4",
        "1 00170.mp4",
        "1 Somewhere/00170.mp4",
        "1 /etc/YouTube-real/00170.mp4",
        "1 YouTube-real/../../secret.mp4",
        "1 YouTube-real/..",
        "1 ../YouTube-real/00170.mp4",
        "1 YouTube-real/a\0b.mp4",
        "1 YouTube-real/" + "x" * 100_000,
    ],
)
def test_an_invalid_line_is_reported_with_its_number(root: Path, line: str) -> None:
    (root / LIST).write_text(f"\n1 YouTube-real/00170.mp4\n{line}\n")
    with pytest.raises(DatasetError, match=rf"{LIST}:3: not a line such as") as caught:
        find_data_sets(root)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "content", [b"1 YouTube-real/\xff.mp4\n", "1 YouTube-real/00170.mp4".encode("utf-16")]
)
def test_a_list_that_is_not_text_is_refused(root: Path, content: bytes) -> None:
    (root / LIST).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{LIST} is not text in UTF-8"):
        find_data_sets(root)


def test_a_list_above_the_size_limit_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_BYTES", 20)
    with pytest.raises(DatasetError, match=f"{LIST} is larger than"):
        find_data_sets(root)


def test_a_list_with_windows_line_ends_spaces_and_capitals_is_read(root: Path) -> None:
    (root / LIST).unlink()
    text = "\ufeff1 youtube-real/00170.mp4  \r\n\r\n0  Celeb-Synthesis/id0_id1_0000.MP4\r\n"
    (root / LIST.lower()).write_bytes(text.encode())
    test_ids = [name for name, item in by_id(root).items() if item.split == "test"]
    assert test_ids == ["Celeb-synthesis/id0_id1_0000.mp4", "YouTube-real/00170.mp4"]


def test_a_partial_download_is_counted_without_an_error(root: Path) -> None:
    (root / "YouTube-real" / "00170.mp4").unlink()
    (data_set,) = find_data_sets(root)
    assert data_set.is_partial
    assert [tuple(row) for row in data_set.coverage] == [
        ("Celeb-real", 2, 590),
        ("YouTube-real", 0, 300),
        ("Celeb-synthesis", 1, 5639),
        ("test list", 1, 2),
    ]


def test_a_missing_list_means_no_official_split_and_a_note(root: Path) -> None:
    (root / LIST).unlink()
    (data_set,) = find_data_sets(root)
    assert {item.split for item in data_set.items} == {""}
    assert f"no {LIST}" in data_set.notes[0]


def test_a_pipe_in_place_of_the_list_does_not_block(root: Path) -> None:
    (root / LIST).unlink()
    os.mkfifo(root / LIST)
    assert f"no {LIST}" in find_data_sets(root)[0].notes[0]


@pytest.mark.parametrize(
    ("folder", "listed", "name"),
    [
        ("Celeb-DF-v2", 2, "celeb-df-v2"),
        ("Celeb-DF-v1", 2, "celeb-df-v1"),
        ("celeb_df_V1", 2, "celeb-df-v1"),
        ("Celeb-DF", 100, "celeb-df-v1"),
        ("Celeb-DF", 518, "celeb-df-v2"),
        ("Celeb-DF-v1", 518, "celeb-df-v2"),
        ("videos", 2, "celeb-df-v2"),
    ],
)
def test_the_version_follows_from_the_length_of_the_list_or_the_folder_name(
    tmp_path: Path, folder: str, listed: int, name: str
) -> None:
    lines = "".join(f"1 YouTube-real/{number:05}.mp4\n" for number in range(listed))
    (data_set,) = find_data_sets(plant(tmp_path / folder, {**CELEB_DF, LIST: lines}))
    assert data_set.name == name
    assert {item.dataset for item in data_set.items} == {name}
    assert data_set.coverage[0].of == {"celeb-df-v1": 158, "celeb-df-v2": 590}[name]


def test_a_single_folder_is_read_with_the_list_above_it(root: Path) -> None:
    items = by_id(root / "Celeb-synthesis")
    assert {name: (item.label, item.split, item.dataset) for name, item in items.items()} == {
        "id0_id1_0000.mp4": (FAKE, "test", "celeb-df-v2")
    }


def test_a_nested_folder_named_real_is_a_plain_folder(tmp_path: Path) -> None:
    items = by_id(plant(tmp_path, {"Celeb-synthesis/real/a.mp4": ""}))
    assert [(item.label, item.dataset) for item in items.values()] == [(REAL, "")]


def test_videos_in_folders_called_videos_keep_identities_and_the_official_split(
    tmp_path: Path,
) -> None:
    items = by_id(plant(tmp_path / "Celeb-DF-v2", CELEB_DF_NESTED))
    facts = {Path(name).stem: (item.label, item.groups, item.split) for name, item in items.items()}
    assert facts == {
        "id0_0000": (REAL, ("id0",), ""),
        "00170": (REAL, (), "test"),
        "id0_id1_0000": (FAKE, ("id0", "id1"), ""),
    }


def test_identities_are_kept_in_other_folders_below(tmp_path: Path) -> None:
    (item,) = by_id(plant(tmp_path, {"Celeb-synthesis/part1/fakes/id0_id1_0000.mp4": ""})).values()
    assert (item.label, item.groups, item.dataset) == (FAKE, ("id0", "id1"), "celeb-df-v2")
