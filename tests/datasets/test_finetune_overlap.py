from __future__ import annotations

import pytest

from deepfake_seq.datasets.finetune_overlap import FinetuneOverlap

CLIPS_OF_CNN = FinetuneOverlap(
    contents={"d": "train", "e#1": "test"},
    videos=frozenset({"d", "e", "v.mp4"}),
    groups=frozenset({"p"}),
)


@pytest.mark.parametrize(
    ("video", "person", "sha256", "groups", "overlap"),
    [
        ("a.mp4", "", "d", (), "train"),
        ("a.mp4", "#0", "d", (), "related"),  # another person of a training video
        ("v.mp4", "#2", "x", (), "related"),  # perhaps another cut of a training video
        ("a.mp4", "#1", "e", (), "test"),
        ("a.mp4", "", "e", (), "related"),
        ("a.mp4", "", "x", ("p",), "related"),
        ("a.mp4", "", "x", ("q",), "unseen"),
    ],
)
def test_the_overlap_with_a_finetuned_cnn_includes_other_people_of_its_videos(
    video: str, person: str, sha256: str, groups: tuple[str, ...], overlap: str
) -> None:
    assert CLIPS_OF_CNN.overlap_of(video, person, sha256, groups) == overlap
