"""`deepseq dataset` and `deepseq extract` on a folder as people have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import deepseq
from clips import write_clip
from trees import plant

from deepfake_seq.store import FeatureStore

pytestmark = pytest.mark.usefixtures("tiny_cnn")

EXTRACT = ["--detector", "none", "--weights", "untrained", "--frames", "4", "--workers", "1"]
CLIPS = [
    "celeb/Celeb-DF-v2/Celeb-real/videos/id0_0000.mp4",
    "celeb/Celeb-DF-v2/Celeb-synthesis/videos/id0_id1_0000.mp4",
    "kaggle/FaceForensics++_C23/original/000.mp4",
    "kaggle/FaceForensics++_C23/Deepfakes/000_003.mp4",
    "FakeAVCeleb_v1.2/FakeVideo-RealAudio/African/men/id00076/00109_id00475_wavtolip.mp4",
    "FakeAVCeleb_v1.2/RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4",
    "mine/2024/real_videos/Holiday.MP4",
    "mine/2024/Fakes/swap.m2ts",
    "mine/unreal/c.mp4",
    "mine/phone/IMG_0001.MOV",
]
FILES = {
    "celeb/Celeb-DF-v2/List_of_testing_videos.txt": "0 Celeb-synthesis/id0_id1_0000.mp4\n",
    "kaggle/FaceForensics++_C23/csv/FF++_Metadata.csv": (
        ",File Path,Label\n0,original/000.mp4,REAL\n1,Deepfakes/000_003.mp4,FAKE\n"
    ),
    ".DS_Store": "",
    "mine/.DS_Store": "",
    "mine/._Holiday.mp4": "",
    "__MACOSX/mine/._Holiday.mp4": "",
    "backup.zip": "",
    "mine/old.wmv": "",
    "frames/clip/0001.png": "",
    "frames/clip/0002.png": "",
    "notes.txt": "",
}
LABELS = {
    "id0_0000": (0, "", ("id0",)),
    "id0_id1_0000": (1, "test", ("id0", "id1")),
    "000": (0, "", ("000",)),
    "000_003": (1, "", ("000", "003")),
    "00109_id00475_wavtolip": (1, "", ("id00076", "id00475")),
    "00109_fake": (0, "", ("id00076",)),
    "Holiday": (0, "", ()),
    "swap": (1, "", ()),
    "c": (-1, "", ()),
    "IMG_0001": (-1, "", ()),
}


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = plant(tmp_path_factory.mktemp("messy") / "stuff", FILES)
    for number, name in enumerate(CLIPS):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = ".ts" if path.suffix == ".m2ts" else ".mp4"
        write_clip(path.with_name(f"clip{suffix}"), 8 + number).rename(path)
    (root / "all_videos").mkdir()
    (root / "all_videos" / "holiday.mp4").symlink_to(root / "mine/2024/real_videos/Holiday.MP4")
    (root / "all_videos" / "gone.mp4").symlink_to("nowhere.mp4")
    (root / "loop").symlink_to(root)
    return root


def test_dataset_says_what_it_recognised_and_what_it_left_out(messy: Path) -> None:
    result = deepseq("dataset", messy)
    assert result.exit_code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        f"celeb-df-v2 in {messy}/celeb/Celeb-DF-v2: 2 videos, INCOMPLETE",
        "test list 1 of 1",
        f"faceforensics++ in {messy}/kaggle/FaceForensics++_C23: 2 videos, INCOMPLETE",
        "Deepfakes c23 1 of 1",
        f"fakeavceleb in {messy}/FakeAVCeleb_v1.2: 2 videos",
        f"folders in {messy}: 4 videos",
        "real by the folder name: real_videos (1)",
        "fake by the folder name: Fakes (1)",
        "1 other paths of the same files, through links",
        "1 .wmv: this video format is not supported; convert them to MP4",
        "2 .png in 1 folder; frame folders are not read: give the videos",
        "1 .zip: archives are not read; unpack them",
        f"links that lead nowhere: 1 ({messy}/all_videos/gone.mp4)",
        "test 0 1 0 2",
        "no split 4 3 2 5",
    ):
        assert line in lines
    warning, folders, remedy = result.stderr.splitlines()
    assert "WARNING: 2 of 10 videos have no label" in warning
    assert folders == "deepseq: folders not recognised as a class: stuff/mine/unreal (1)"
    assert "--labels FILE.csv with the columns path,label" in remedy


def test_dataset_writes_the_same_facts_as_json(messy: Path) -> None:
    value = json.loads(deepseq("dataset", messy, "--json").stdout)
    assert [row["layout"] for row in value["data_sets"]] == [
        "fakeavceleb", "celeb-df", "faceforensics", "folders",
    ]  # fmt: skip
    assert value["left_out"] == {
        "files": {".zip": 1, ".wmv": 1, ".png": 2},
        "broken_links": 1,
        "unreadable_folders": 0,
        "bad_names": 0,
    }
    assert (value["other_names"], value["links_left_out"]) == (1, 0)
    assert value["unrecognised_folders"] == {"stuff/mine/unreal": 1}


def test_extract_takes_all_videos_and_warns_of_missing_labels_first_and_last(
    messy: Path, tmp_path: Path
) -> None:
    result = deepseq("extract", messy, "--out", tmp_path / "features", *EXTRACT)
    assert result.exit_code == 0, result.stderr
    assert "10 videos: 10 extracted, 0 failed" in result.stdout
    assert "2 .png in 1 folder; frame folders are not read" in result.stdout
    records = FeatureStore.open(tmp_path / "features")
    facts = {
        Path(record.video_id).stem: (record.label, record.split, tuple(record.groups))
        for record in records
    }
    assert facts == LABELS
    messages = result.stderr.splitlines()
    assert messages[0].startswith("deepseq: WARNING: 2 of 10 videos have no label")
    assert messages[-3:] == messages[:3]


def test_videos_without_any_label_are_extracted_and_labelled_later(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        write_clip(tmp_path / "videos" / f"{name}.mp4", 8)
    command = ["extract", tmp_path / "videos", "--out", tmp_path / "features", *EXTRACT]
    result = deepseq(*command)
    assert result.exit_code == 0
    assert "2 videos: 2 extracted" in result.stdout
    assert result.stderr.count("WARNING: 2 of 2 videos have no label") == 2
    assert "--labels FILE.csv with the columns path,label" in result.stderr

    (tmp_path / "labels.csv").write_text("Filename;Label\na;REAL\nb;FAKE\n")
    again = deepseq(*command, "--labels", tmp_path / "labels.csv")
    assert "0 extracted, 0 failed, 2 already in the store (2 relabelled)" in again.stdout
    assert "no label" not in again.stderr


def test_a_csv_file_of_which_no_row_matches_ends_the_command(tmp_path: Path) -> None:
    plant(tmp_path / "videos", {"a.mp4": ""})
    (tmp_path / "labels.csv").write_text("path,label\nother.mp4,fake\n")
    result = deepseq("extract", tmp_path / "videos", "--labels", tmp_path / "labels.csv", *EXTRACT)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no row of" in result.stderr and "'a.mp4'" in result.stderr


def test_rows_without_a_video_are_counted_in_a_note(tmp_path: Path) -> None:
    plant(tmp_path / "videos", {"a.mp4": ""})
    (tmp_path / "labels.csv").write_text("path,label\na.mp4,real\nother.mp4,fake\n")
    result = deepseq("dataset", tmp_path / "videos", "--labels", tmp_path / "labels.csv")
    assert "1 of 2 rows match a video; columns used: path, label" in result.stdout
    assert "NOTE: 1 of 2 rows" in result.stderr and "'other.mp4 (line 3)'" in result.stderr
    command = ["dataset", tmp_path / "videos", "--labels", tmp_path / "labels.csv", "--json"]
    assert json.loads(deepseq(*command).stdout)["label_rows"] == {
        "rows": 2,
        "unmatched": 1,
        "videos_without_row": 0,
        "columns": ["path", "label"],
    }
