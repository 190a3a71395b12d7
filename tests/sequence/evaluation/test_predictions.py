from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.sequence.evaluation import predictions

HEADER = ",".join(predictions.COLUMNS)
GOOD = f"a.mp4,test,1,0.5,{'ab' * 32},ann;bob,FaceSwap"
CLIPS = [
    Clip("a.mp4", 0, ("ann", "bob"), sha256="ab" * 32),
    Clip('odd "name",\nwith\rall; of it é \udcff.mp4', 1, facts={"method": "Face2Face"}),
]


def test_predictions_are_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    scores = np.array([1 / 3, 1e-300])
    predictions.write(path, {"validation": (CLIPS, scores), "test": ([Clip("c", 1)], np.ones(1))})
    read = predictions.read(path)
    assert read.video_ids == (*(clip.video_id for clip in CLIPS), "c")
    assert read.splits == ("validation", "validation", "test")
    assert read.labels.tolist() == [0, 1, 1]
    assert read.scores.tolist() == [*scores, 1.0]
    assert read.sha256s == ("ab" * 32, "", "")
    assert read.groups == (("ann", "bob"), (), ())
    assert read.methods == ("", "Face2Face", "")
    assert read.of_split("test").video_ids == ("c",)
    assert len(read.of_split("unseen")) == 0


def test_empty_predictions_are_read_back(tmp_path: Path) -> None:
    predictions.write(tmp_path / "p.csv", {"test": ([], np.zeros(0))})
    assert len(predictions.read(tmp_path / "p.csv").of_split("test")) == 0


def test_the_columns_are_the_documented_ones(tmp_path: Path) -> None:
    predictions.write(tmp_path / "p.csv", {"test": ([CLIPS[0]], np.array([0.25]))})
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "video_id,part,label,score,sha256,groups,method",
        f"a.mp4,test,0,0.25,{'ab' * 32},ann;bob,",
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (GOOD.replace("0.5", "nan"), r">= 0.0 - at `\$.score`.*'nan'"),
        (GOOD.replace("0.5", "1.01"), r"<= 1.0 - at `\$.score`.*'1.01'"),
        (GOOD.replace("0.5", "inf"), r"<= 1.0 - at `\$.score`"),
        (GOOD.replace("0.5", "high"), "Expected `float`.*score.*'high'"),
        (GOOD.replace(",1,", ",-1,"), "label"),
        (GOOD.replace("test", "train"), "part"),
        (GOOD.replace("abab", "zzzz"), "sha256"),
        (GOOD + ",more", "7 columns"),
        ("a.mp4,test", "7 columns"),
        (GOOD.replace("a.mp4", '"a.mp4" '), "expected"),
    ],
)
def test_an_invalid_row_is_refused_with_its_line_number(
    tmp_path: Path, line: str, complaint: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}\nfirst.mp4,test,1,0.5,,,\n{line}\n")
    with pytest.raises(RunError, match=rf"p\.csv:3: .*{complaint}"):
        predictions.read(path)


def test_a_repeated_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"{HEADER}\n{GOOD}\n{GOOD}\n")
    with pytest.raises(RunError, match=r"p\.csv cannot be read, .*'a\.mp4' occurs 2 times"):
        predictions.read(tmp_path / "p.csv")


@pytest.mark.parametrize("header", ["", "video_id,label", HEADER + ",more"])
def test_other_columns_are_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "p.csv").write_text(header + "\n")
    with pytest.raises(RunError, match=r"p\.csv:[01]: the columns must be"):
        predictions.read(tmp_path / "p.csv")


def test_anything_but_a_regular_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(HEADER.encode() + b"\n\xff\xfe")
    with pytest.raises(RunError, match="UTF-8"):
        predictions.read(tmp_path / "p.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "p.csv")
    with pytest.raises(RunError, match="link"):
        predictions.read(tmp_path / "link.csv")
    with pytest.raises(RunError, match="cannot be read"):
        predictions.read(tmp_path / "absent.csv")
