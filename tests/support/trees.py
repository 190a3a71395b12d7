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
CELEB_DF_NESTED = {
    "data/real/Celeb-real/videos/id0_0000.mp4": "",
    "data/real/YouTube-real/videos/00170.mp4": "",
    "data/fake/Celeb-synthesis/videos/id0_id1_0000.mp4": "",
    "data/List_of_testing_videos.txt": "1 YouTube-real/00170.mp4\n",
}
FACEFORENSICS_KAGGLE = {
    "FaceForensics++_C23/original/000.mp4": "",
    "FaceForensics++_C23/original/003.mp4": "",
    "FaceForensics++_C23/Deepfakes/000_003.mp4": "",
    "FaceForensics++_C23/NeuralTextures/003_000.mp4": "",
    "FaceForensics++_C23/DeepFakeDetection/01_02__walking_outside__ABCD.mp4": "",
    "FaceForensics++_C23/csv/FF++_Metadata.csv": (
        ",File Path,Label,Frame Count,Width,Height,Codec,File Size(MB)\n"
        "0,original/000.mp4,REAL,396,640,480,h264,0.92\n"
        "1,original/003.mp4,REAL,402,640,480,h264,0.95\n"
        "2,original/004.mp4,REAL,402,640,480,h264,0.95\n"
        "3,Deepfakes/000_003.mp4,FAKE,396,640,480,h264,0.91\n"
        "4,NeuralTextures/003_000.mp4,FAKE,396,640,480,h264,0.91\n"
        "5,DeepFakeDetection/01_02__walking_outside__ABCD.mp4,FAKE,300,1920,1080,h264,9.1\n"
    ),
    "FaceForensics++_C23/csv/Mean_Data.csv": "Label,Frame Count\nREAL,509.1\n",
}
DFDC_LABELS_CSV = {
    "dfdc/test/videos/aaaaaaaaaa.mp4": "",
    "dfdc/test/videos/bbbbbbbbbb.mp4": "",
    "dfdc/test/labels.csv": "filename,label,original\naaaaaaaaaa.mp4,1,bbbbbbbbbb.mp4\n"
    "bbbbbbbbbb.mp4,0,\n",
}
_TWO_TARGETS = "00021_id01933_I5XX_gK7QpE_id00781_wavtolip.mp4"
FAKEAVCELEB = {
    "RealVideo-RealAudio/African/men/id00076/00109.mp4": "",
    "RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4": "",
    "FakeVideo-RealAudio/African/men/id00076/00109_id00475_wavtolip.mp4": "",
    f"FakeVideo-FakeAudio/Asian (East)/women/id01170/{_TWO_TARGETS}": "",
    "meta_data.csv": (
        "source,target1,target2,method,category,type,race,gender,path,\n"
        "id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,"
        "FakeAVCeleb/RealVideo-RealAudio/African/men/id00076\n"
        "id00076,-,-,rtvc,B,RealVideo-FakeAudio,African,men,00109_fake.mp4,"
        "FakeAVCeleb/RealVideo-FakeAudio/African/men/id00076\n"
        "id00076,id00475,-,wav2lip,C,FakeVideo-RealAudio,African,men,00109_id00475_wavtolip.mp4,"
        "FakeAVCeleb/FakeVideo-RealAudio/African/men/id00076\n"
        "id01170,id01933,id00781,faceswap-wav2lip,D,FakeVideo-FakeAudio,Asian (East),women,"
        f"{_TWO_TARGETS},"
        "FakeAVCeleb/FakeVideo-FakeAudio/Asian (East)/women/id01170\n"
    ),
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
    return recognise(discover(roots, **options).items, layout)


def by_id(*roots: Path, layout: str = "auto") -> dict[str, VideoItem]:
    """Return the videos under `roots` by id."""
    return {item.video_id: item for item in all_items(find_data_sets(*roots, layout=layout))}
