from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import plant

from deepfake_seq.datasets import (
    FAKE,
    REAL,
    UNKNOWN,
    VideoItem,
    apply_labels,
    collect,
    discover,
    lists,
)
from deepfake_seq.errors import DatasetError


@pytest.fixture
def items(tmp_path: Path) -> list[VideoItem]:
    for name in ("a.mp4", "b.mp4", "real/c.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    return list(discover([tmp_path / "videos"]).items)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_groups_and_splits_are_read(items: list[VideoItem], tmp_path: Path) -> None:
    text = "\ufeffpath,label,group,split,licence\na.mp4,fake,ann; bob,val,MIT\nb.mp4,0,,test,\n"
    labelled, report = apply_labels(items, write(tmp_path / "labels.csv", text))
    by_id = {item.video_id: item for item in labelled}
    assert (by_id["a.mp4"].label, by_id["a.mp4"].groups) == (FAKE, ("ann", "bob"))
    assert (by_id["a.mp4"].split, by_id["b.mp4"].split) == ("validation", "test")
    assert (by_id["b.mp4"].label, by_id["b.mp4"].groups) == (REAL, ())
    assert report.unmatched_rows == ()


def test_a_video_without_a_row_is_unknown_even_in_a_labelled_folder(
    items: list[VideoItem], tmp_path: Path
) -> None:
    labelled, _ = apply_labels(items, write(tmp_path / "labels.csv", "path,label\na.mp4,1\n"))
    assert {item.video_id: item.label for item in labelled}["real/c.mp4"] == UNKNOWN


def test_a_path_may_be_absolute_or_relative_to_the_csv(
    items: list[VideoItem], tmp_path: Path
) -> None:
    text = f"path,label\n{tmp_path}/videos/a.mp4,1\nvideos/b.mp4,1\nnowhere.mp4,1\n"
    labelled, report = apply_labels(items, write(tmp_path / "labels.csv", text))
    assert [item.label for item in labelled] == [FAKE, FAKE, UNKNOWN]
    assert report.unmatched_rows == ("nowhere.mp4 (line 4)",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,maybe\n", r"labels\.csv:2: unknown label.*'maybe'"),
        ("path,label,split\n\na.mp4,1,dev\n", r"labels\.csv:3: unknown split.*'dev'"),
        (
            "path,label\na.mp4,1\na.mp4,0\n",
            r"labels\.csv:3: the row for a\.mp4 differs",
        ),
        ("who,label\na.mp4,1\n", r"has no column path\. .*Received: 'who,label'"),
        ("", "an empty file"),
    ],
)
def test_an_invalid_row_is_reported_with_its_line(
    items: list[VideoItem], tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        apply_labels(items, write(tmp_path / "labels.csv", text))


def test_a_file_that_is_not_text_is_refused(items: list[VideoItem], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path,label\n\xff\xfe\x00,1\n")
    with pytest.raises(DatasetError, match=r"not text in UTF-8: .* in line 2\. Save it"):
        apply_labels(items, tmp_path / "labels.csv")


def labels_from(root: Path, text: str | bytes) -> dict[str, int]:
    """Return the labels that a CSV file beside the videos gives, by id."""
    path = root / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    labelled, _ = apply_labels(discover([root / "videos"]).items, path)
    return {item.video_id: item.label for item in labelled}


BOTH = {"real/a.mp4": REAL, "fake/b.mp4": FAKE}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path / "videos", {"real/a.mp4": "", "fake/b.mp4": ""})
    return tmp_path


@pytest.mark.parametrize(
    "header",
    [
        "path,label", "Path, Label", "FILE PATH,LABEL", "file_name,label", "filename,Labels",
        "file,class", "Video,label", "video-path,Class", "Name,is_fake", "\ufeffPath ,label ",
        '"path","label"',
    ],
)  # fmt: skip
def test_common_names_of_the_columns_are_read(header: str, root: Path) -> None:
    assert labels_from(root, f"{header}\nreal/a.mp4,0\nfake/b.mp4,1\n") == BOTH


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " , ", "; "])
def test_common_delimiters_are_read(delimiter: str, root: Path) -> None:
    rows = [["path", "label", "split"], ["real/a.mp4", "real", "test"], ["fake/b.mp4", "fake", ""]]
    assert labels_from(root, "\n".join(delimiter.join(row) for row in rows)) == BOTH


def test_a_table_saved_by_a_spreadsheet_is_read(root: Path) -> None:
    text = "path\tlabel\r\nreal/a.mp4\tREAL\r\nfake/b.mp4\tFAKE\r\n"
    assert labels_from(root, text.encode("utf-16")) == BOTH
    text = "sep=;\r\npath;label;group\r\nreal/a.mp4;0;ann\r\n;;\r\nfake/b.mp4;1;\r\n"
    assert labels_from(root, text) == BOTH
    text = "path;label\rreal/a.mp4;real\rfake/b.mp4;fake\r"
    assert labels_from(root, text) == BOTH


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ("0", "1"), ("0.0", "1.0"), ("0.", "1.00"), ("False", "True"), ("FALSE", "TRUE"),
        ("REAL", "Fake"), (" real ", "fake "), ("original", "Deepfake"),
        ("Real video", "deep-fake"), ("authentic", "manipulated"), ("0", "fake"),
    ],
)  # fmt: skip
def test_common_spellings_of_a_label_are_read(real: str, fake: str, root: Path) -> None:
    assert labels_from(root, f"path,label\nreal/a.mp4,{real}\nfake/b.mp4,{fake}\n") == BOTH


@pytest.mark.parametrize("label", ["", "-1", "unknown", "NaN", "None", "n/a"])
def test_a_missing_label_is_read_as_unknown(label: str, root: Path) -> None:
    labels = labels_from(root, f"path,label\nreal/a.mp4,{label}\nfake/b.mp4,1\n")
    assert labels == {"real/a.mp4": UNKNOWN, "fake/b.mp4": FAKE}


@pytest.mark.parametrize("label", ["2", "0.5", "0.9", "yes", "real?fake", "not fake", "T", "١"])
def test_a_value_that_is_no_label_is_named_with_its_line(label: str, root: Path) -> None:
    with pytest.raises(DatasetError, match=r"labels\.csv:3: unknown label.* Received: "):
        labels_from(root, f"path,label\nfake/b.mp4,1\nreal/a.mp4,{label}\n")


def test_true_beside_words_is_ambiguous(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"labels\.csv:2: true can mean .* line 3 has 'Fake'"):
        labels_from(root, "path,label\nreal/a.mp4,True\nfake/b.mp4,Fake\n")


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ("real/a.mp4", "fake/b.mp4"),
        ("a.mp4", "b.mp4"),
        ("a", "b"),
        ("real/a", "fake/b"),
        ("real\\a.mp4", "fake\\b.mp4"),
        ("videos\\real\\a.mp4", ".\\videos\\fake\\b"),
        ("D:\\data\\set\\real\\a.mp4", "\\\\server\\set\\fake\\b.mp4"),
        ("/home/ann/set/real/a.mp4", "/home/ann/set/fake/b.mp4"),
        ("set/real/a.mp4", "set/fake/b.mp4"),
        ("REAL/A.MP4", "Fake/B.mp4"),
        ("./videos/real//a.mp4", "videos/real/../fake/b.mp4"),
    ],
)
def test_common_spellings_of_a_path_are_read(real: str, fake: str, root: Path) -> None:
    assert labels_from(root, f"path,label\n{real},0\n{fake},1\n") == BOTH


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_read_in_both_forms_of_unicode(
    on_disk: Literal["NFC", "NFD"], in_list: Literal["NFC", "NFD"], tmp_path: Path
) -> None:
    name = unicodedata.normalize(on_disk, "été/ünïcode.mp4")
    plant(tmp_path / "videos", {name: ""})
    listed = unicodedata.normalize(in_list, "été/ünïcode.mp4")
    assert labels_from(tmp_path, f"path,label\n{listed},1\n") == {name: FAKE}


def test_a_base_name_of_several_videos_is_ambiguous(root: Path) -> None:
    plant(root / "videos", {"fake/a.mp4": ""})
    with pytest.raises(DatasetError, match=r"labels\.csv:3: the path can mean") as caught:
        labels_from(root, "path,label\nb.mp4,1\na.mp4,0\n")
    assert "fake/a.mp4 or real/a.mp4" in str(caught.value)


def test_a_row_of_another_folder_does_not_label_a_video_of_the_same_name(tmp_path: Path) -> None:
    plant(tmp_path / "videos", {"a.mp4": "", "b.mp4": ""})
    labels = labels_from(tmp_path, "path,label\nother/a.mp4,1\nvideos/b.mp4,0\n")
    assert labels == {"a.mp4": UNKNOWN, "b.mp4": REAL}


def test_rows_of_another_split_do_not_label_videos_of_the_same_name(tmp_path: Path) -> None:
    plant(tmp_path / "test", {"real/a.mp4": "", "real/b.mp4": ""})
    (tmp_path / "labels.csv").write_text(
        "path,label\n/old/train/real/a.mp4,1\n/old/test/real/a.mp4,0\n/old/train/real/b.mp4,1\n"
    )
    labelled, report = apply_labels(discover([tmp_path / "test"]).items, tmp_path / "labels.csv")
    assert [item.label for item in labelled] == [REAL, UNKNOWN]
    assert len(report.unmatched_rows) == 2


def test_two_files_whose_names_differ_in_case_are_told_apart(tmp_path: Path) -> None:
    plant(tmp_path / "videos", {"sub/A.mp4": "", "sub/a.mp4": ""})
    if len(list((tmp_path / "videos" / "sub").iterdir())) < 2:
        pytest.skip("the file system ignores case")
    labels = labels_from(tmp_path, "path,label\nA.mp4,1\nsub/a.mp4,0\n")
    assert labels == {"sub/A.mp4": FAKE, "sub/a.mp4": REAL}


def test_the_column_with_a_match_is_used_if_several_could_have_the_path(root: Path) -> None:
    text = "path,filename,label\ns3://bucket/1,a.mp4,0\ns3://bucket/2,b.mp4,1\n"
    assert labels_from(root, text) == BOTH


def test_no_matching_row_is_an_error_with_examples(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"no row of .* matches a video") as caught:
        labels_from(root, "path,label\nnowhere/x.mp4,1\n")
    message = str(caught.value)
    assert "'nowhere/x.mp4'" in message and "'fake/b.mp4', 'real/a.mp4'" in message
    with pytest.raises(DatasetError, match=r"no row of .* Received: no rows"):
        labels_from(root, "path,label\n")


def test_rows_and_videos_without_a_match_are_counted_with_examples(root: Path) -> None:
    plant(root / "videos", {"c.mp4": ""})
    (root / "labels.csv").write_text("path,label\nx.mp4,1\na.mp4,0\ny.mp4,1\n")
    _, report = apply_labels(discover([root / "videos"]).items, root / "labels.csv")
    rows, videos = report.notes
    assert f"2 of 3 rows of {root}/labels.csv match no video" in rows
    assert "'x.mp4 (line 2)', 'y.mp4 (line 4)'" in rows
    assert "2 videos have no row" in videos and "'c.mp4', 'fake/b.mp4'" in videos


def test_labels_that_contradict_the_folders_are_counted(root: Path) -> None:
    """For example if 1 means real in the file."""
    (root / "labels.csv").write_text("path,label\na.mp4,1\nb.mp4,0\n")
    report = collect([root / "videos"], labels=root / "labels.csv").labels
    assert report is not None
    assert "labels 2 videos the opposite of their folders" in report.notes[0]
    assert "'fake/b.mp4 (real)', 'real/a.mp4 (fake)'; 1 means fake" in report.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('path,label\n"real/a.mp4,0\nfake/b.mp4,1\n', r"labels\.csv:\d: not a line of a CSV file"),
        ("path,label\n" + "x" * 200_000 + ",1\n", r"labels\.csv:2: .*field larger than"),
        ("path;label;group\na.mp4;0;ann;bob\n", r"labels\.csv:2: the line has more values than"),
        ("path,label\nreal/a.mp4,0\n,1\n", r"labels\.csv:3: the column path is empty"),
        ("real/a.mp4,0\nfake/b.mp4,1\n", "has no column path and label"),
        (b"path,label\n\0\xff\xfe", "not text in UTF-8"),
        ("path,label\n".encode("utf-16")[:-1], "not text in UTF-8"),
    ],
)
def test_a_damaged_file_is_refused(text: str | bytes, message: str, root: Path) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        labels_from(root, text)
    assert len(str(caught.value)) < 500


def test_a_file_above_the_size_limit_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_BYTES", 20)
    with pytest.raises(DatasetError, match=r"labels\.csv is larger than"):
        labels_from(root, "path,label\nreal/a.mp4,0\n")


@given(st.binary(max_size=200), st.booleans())
def test_no_content_ends_in_another_error(data: bytes, has_header: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder), {"videos/a.mp4": ""})
        try:
            labels_from(root, b"path,label\n" * has_header + data)
        except DatasetError as error:
            assert len(str(error)) < 1000
