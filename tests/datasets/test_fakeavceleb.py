from __future__ import annotations

from pathlib import Path

import pytest
from trees import FAKEAVCELEB, by_id, find_data_sets, plant

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "FakeAVCeleb_v1.2", FAKEAVCELEB)


def test_labels_methods_and_identities_are_read(root: Path) -> None:
    items = by_id(root).values()
    facts = {item.path.stem[:13]: (item.label, item.method, item.groups) for item in items}
    assert facts == {
        "00109": (REAL, "", ("id00076",)),
        "00109_fake": (REAL, "", ("id00076",)),
        "00109_id00475": (FAKE, "wav2lip", ("id00076", "id00475")),
        "00021_id01933": (FAKE, "faceswap-wav2lip", ("id01170", "id01933", "id00781")),
    }


def test_a_real_picture_with_fake_sound_is_real_and_the_report_says_so(root: Path) -> None:
    (data_set,) = find_data_sets(root)
    assert (
        "1 videos of RealVideo-FakeAudio are labelled real: only their sound is fake, and sound is "
        "not used"
    ) in data_set.notes


def test_the_metadata_says_what_is_missing(root: Path) -> None:
    (root / "RealVideo-RealAudio/African/men/id00076/00109.mp4").unlink()
    (data_set,) = find_data_sets(root)
    assert data_set.is_partial
    assert [tuple(row) for row in data_set.coverage] == [
        ("RealVideo-RealAudio", 0, 1),
        ("RealVideo-FakeAudio", 1, 1),
        ("FakeVideo-RealAudio", 1, 1),
        ("FakeVideo-FakeAudio", 1, 1),
    ]


def test_without_metadata_the_category_is_the_method_and_names_give_the_identities(
    root: Path,
) -> None:
    (root / "meta_data.csv").unlink()
    (data_set,) = find_data_sets(root)
    facts = {(item.method, item.groups) for item in data_set.items if item.label == FAKE}
    assert facts == {
        ("FakeVideo-RealAudio", ("id00076", "id00475")),
        ("FakeVideo-FakeAudio", ("id01170", "id01933", "id00781")),
    }
    assert "no meta_data.csv" in data_set.notes[0] and not data_set.coverage


def test_spelling_of_the_categories_is_read_without_hyphens(tmp_path: Path) -> None:
    plant(tmp_path, {"fakevideo_fakeaudio/id00076/a.mp4": "", "RealVideoRealAudio/b.mp4": ""})
    (data_set,) = find_data_sets(tmp_path)
    assert {(item.path.stem, item.label, item.groups) for item in data_set.items} == {
        ("a", FAKE, ("id00076",)),
        ("b", REAL, ()),
    }
    assert "1 videos are in no folder of an identity: they are in no group" in data_set.notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("source,target1\nid00076,-\n", r"meta_data\.csv has no column method and type and path"),
        (b"source,method,type,path\n\xff", r"meta_data\.csv is not text in UTF-8"),
        ('source,method,type,path\n"a', r"meta_data\.csv:2: not a line of a CSV file"),
    ],
)
def test_malformed_metadata_is_refused(root: Path, content: str | bytes, message: str) -> None:
    plant(root, {"meta_data.csv": content})
    with pytest.raises(DatasetError, match=message):
        find_data_sets(root)
