from __future__ import annotations

from pathlib import Path

import pytest

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, VideoItem, apply_labels, discover
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
        ("who,label\na.mp4,1\n", r"has no column path\. .*Received: 'label,who'"),
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
