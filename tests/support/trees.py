"""Make data sets of empty files for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepfake_seq.datasets import DataSet, VideoItem, all_items, discover, recognise

CELEB_DF = {
    "Celeb-real/id0_0000.mp4": "",
    "Celeb-real/id1_0000.mp4": "",
    "Celeb-synthesis/id0_id1_0000.mp4": "",
    "YouTube-real/00170.mp4": "",
    "List_of_testing_videos.txt": "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n",
}
FACEFORENSICS = {
    "original_sequences/youtube/c23/videos/000.mp4": "",
    "original_sequences/youtube/c23/videos/003.mp4": "",
    "original_sequences/youtube/c23/videos/071.mp4": "",
    "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4": "",
    "manipulated_sequences/Face2Face/c23/videos/071_054.mp4": "",
    "train.json": '[["000", "003"]]',
    "val.json": '[["071", "054"]]',
    "test.json": "[]",
}
DFDC = {
    "dfdc_train_part_0/fake.mp4": "",
    "dfdc_train_part_0/real.mp4": "",
    "dfdc_train_part_0/metadata.json": """{
        "fake.mp4": {"label": "FAKE", "split": "train", "original": "real.mp4"},
        "real.mp4": {"label": "REAL", "split": "train", "original": null}
    }""",
}
FOLDERS = {"real/a.mp4": "", "fake/b.mp4": "", "other/c.mp4": ""}


def plant(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files under `root`, and return `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def find_data_sets(*roots: Path, layout: str = "auto", **options: Any) -> list[DataSet]:
    """Return the data sets under `roots`."""
    return recognise(discover(roots, **options)[0], layout)


def by_id(*roots: Path, layout: str = "auto") -> dict[str, VideoItem]:
    """Return the videos under `roots` by id."""
    return {item.video_id: item for item in all_items(find_data_sets(*roots, layout=layout))}
