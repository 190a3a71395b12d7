"""`deepseq dataset`, and how `deepseq extract` reports and stores a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calling import deepseq
from clips import write_clip
from trees import CELEB_DF, DFDC, FACEFORENSICS, FOLDERS, plant

from deepfake_seq.store import FeatureStore

pytestmark = pytest.mark.usefixtures("tiny_cnn")

PNG = b"\x89PNG\r\n"
EXTRACT = ["--detector", "none", "--weights", "untrained", "--frames", "4", "--workers", "1"]


def described(*arguments: object) -> dict[str, Any]:
    """Return the JSON document of `deepseq dataset`."""
    result = deepseq("dataset", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_the_report_compares_the_folder_with_the_published_data_set(tmp_path: Path) -> None:
    root = plant(tmp_path / "Celeb-DF-v2", CELEB_DF)
    result = deepseq("dataset", root)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        f"celeb-df-v2 in {root}: 4 videos, INCOMPLETE",
        "Celeb-real 2 of 590",
        "YouTube-real 1 of 300",
        "Celeb-synthesis 1 of 5,639",
        "test list 2 of 2",
        "",
        "split real fake unknown groups",
        "test 1 1 0 2",
        "no split 2 0 0 2",
        "",
        "method real fake unknown groups",
        "real 3 0 0 2",
        "Celeb-synthesis 0 1 0 2",
        "",
        "groups: 2, 2 in more than one split: id0, id1",
    ]


def test_plain_folders_have_one_row_and_no_coverage(tmp_path: Path) -> None:
    result = deepseq("dataset", plant(tmp_path, FOLDERS))
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        f"folders in {tmp_path}: 3 videos",
        "real by the folder name: real (1)",
        "fake by the folder name: fake (1)",
        "",
        "class real fake unknown groups",
        "all videos 1 1 1 0",
        "",
        "groups: none given (column `group` in --labels); splits may leak identities",
    ]


def test_the_json_document_contains_the_same_counts(tmp_path: Path) -> None:
    root = plant(tmp_path / "FF", FACEFORENSICS)
    value = described(root)
    assert value["videos"] == 5
    (data_set,) = value["data_sets"]
    assert (data_set["name"], data_set["layout"]) == ("faceforensics++", "faceforensics")
    assert (data_set["path"], data_set["complete"]) == (str(root), False)
    assert data_set["coverage"][0] == {"what": "youtube c23", "found": 3, "of": 1000}
    assert [row["name"] for row in value["by_part"]] == ["train", "validation"]
    assert value["by_part"][0] == {
        "name": "train", "real": 2, "fake": 1, "unknown": 0, "groups": 2,
    }  # fmt: skip
    assert [row["name"] for row in value["by_method"]] == ["real", "Deepfakes", "Face2Face"]
    assert value["groups_in_several_parts"] == {"count": 0, "first": []}


def test_an_identity_in_two_splits_is_counted_and_named(tmp_path: Path) -> None:
    value = described(plant(tmp_path, CELEB_DF))
    assert value["groups_in_several_parts"] == {"count": 2, "first": ["id0", "id1"]}


def test_a_complete_data_set_is_not_called_incomplete(tmp_path: Path) -> None:
    root = plant(tmp_path, DFDC)
    assert described(root)["data_sets"][0]["complete"]
    assert "INCOMPLETE" not in deepseq("dataset", root).stdout


def test_inverted_labels_in_an_official_list_are_an_error(tmp_path: Path) -> None:
    turned = "0 YouTube-real/00170.mp4\n1 Celeb-synthesis/id0_id1_0000.mp4\n"
    plant(tmp_path, {**CELEB_DF, "List_of_testing_videos.txt": turned})
    result = deepseq("dataset", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "List_of_testing_videos.txt:1: the list labels this video fake" in line


def test_a_layout_that_does_not_fit_is_exit_code_1(tmp_path: Path) -> None:
    result = deepseq("dataset", plant(tmp_path, FOLDERS), "--dataset", "faceforensics")
    assert result.exit_code == 1
    assert "looked for videos in original_sequences/" in result.stderr


def test_a_csv_file_overrides_the_data_set(tmp_path: Path) -> None:
    root = plant(tmp_path / "set", CELEB_DF)
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label,method\nYouTube-real/00170.mp4,fake,mine\n")
    assert f"come from {labels} only" in deepseq("dataset", root, "--labels", labels).stdout
    value = described(root, "--labels", labels)
    assert (value["all"]["fake"], value["all"]["unknown"]) == (1, 3)
    assert [row["name"] for row in value["by_method"]] == ["mine", "unknown"]


@pytest.mark.parametrize("tree", [FOLDERS, CELEB_DF, FACEFORENSICS, DFDC])
def test_the_figure_is_a_png(tmp_path: Path, tree: dict[str, str]) -> None:
    figure = tmp_path / "figures" / "classes.png"
    result = deepseq("dataset", plant(tmp_path / "set", tree), "--figure", figure)
    assert result.stdout.splitlines()[-1] == f"figure: {figure}"
    assert figure.read_bytes().startswith(PNG)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two decodable clips in the layout of Celeb-DF."""
    root = tmp_path / "Celeb-DF-v2"
    for name in ("Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"):
        (root / name).parent.mkdir(parents=True)
        write_clip(root / name, 8)
    return root


def facts(store: Path) -> list[tuple[str, str, str]]:
    """Return split, method and data set of each record."""
    return [
        (record.split, record.facts.get("method", ""), record.facts.get("dataset", ""))
        for record in FeatureStore.open(store)
    ]


def test_extract_reports_missing_videos_and_stores_split_and_method(
    clips: Path, tmp_path: Path
) -> None:
    store = tmp_path / "features"
    result = deepseq("extract", clips, "--out", store, *EXTRACT)
    assert result.exit_code == 0, result.stderr
    assert f"celeb-df-v2 in {clips}: 2 videos, INCOMPLETE" in result.stdout
    assert "1 of 5,639" in result.stdout
    assert facts(store) == [("", "", "celeb-df-v2"), ("", "Celeb-synthesis", "celeb-df-v2")]

    (clips / "List_of_testing_videos.txt").write_text("0 Celeb-synthesis/id0_id1_0000.mp4\n")
    again = deepseq("extract", clips, "--out", store, *EXTRACT)
    assert "2 already in the store (1 relabelled)" in again.stdout
    assert [split for split, _, _ in facts(store)] == ["", "test"]


def test_extract_with_json_prints_nothing_else_on_stdout(clips: Path, tmp_path: Path) -> None:
    result = deepseq("extract", clips, "--out", tmp_path / "features", *EXTRACT, "--json")
    assert json.loads(result.stdout)["videos"] == 2
    assert "celeb-df-v2 in" in result.stderr
