from __future__ import annotations

from pathlib import Path

import pytest
from trees import by_id, find_data_sets, plant

from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, collect, unrecognised_classes


def label_below(root: Path, folder: str, *others: str) -> int:
    """Return the label of a video in a folder that has other folders beside it."""
    plant(root, {f"{name}/a.mp4": "" for name in (folder, *others)})
    return by_id(root)[f"{folder}/a.mp4"].label


@pytest.mark.parametrize(
    "name",
    [
        "real", "REAL", "real_videos", "Real Videos", "RealVideos", "videos-real", "originals",
        "original_sequences", "authentic", "genuine_clips", "pristine", "bona-fide", "reals_v2",
        "train_real", "YouTube-real",
    ],
)  # fmt: skip
def test_a_folder_with_a_plain_word_for_real_labels_its_videos_real(
    name: str, tmp_path: Path
) -> None:
    assert label_below(tmp_path, name) == REAL


@pytest.mark.parametrize(
    "name",
    [
        "fake", "Fakes", "FAKE VIDEOS", "fakeVideos", "deepfake", "all_deep-fakes", "DeepFakes",
        "manipulated_sequences", "synthesis", "synthetic_2", "Celeb-synthesis", "forgeries",
        "generated", "test-fake", "face-swapped",
    ],
)  # fmt: skip
def test_a_folder_with_a_plain_word_for_fake_labels_its_videos_fake(
    name: str, tmp_path: Path
) -> None:
    assert label_below(tmp_path, name) == FAKE


@pytest.mark.parametrize(
    "name",
    [
        "real_fake_mix", "real-vs-fake", "RealFake", "not_real", "non-fake", "unreal", "realistic",
        "surreal", "fakery", "real_estate", "deepfake_detection", "fake_sora", "videos", "réel",
    ],
)  # fmt: skip
def test_a_name_that_is_no_plain_class_gives_no_label(name: str, tmp_path: Path) -> None:
    assert label_below(tmp_path, name) == UNKNOWN


def test_a_name_with_more_words_counts_beside_a_folder_of_the_other_class(tmp_path: Path) -> None:
    assert label_below(tmp_path / "a", "fake_sora", "real") == FAKE
    assert label_below(tmp_path / "b", "real_ted_talks", "fake_heygen", "fake_sora") == REAL
    assert label_below(tmp_path / "c", "fake_sora", "fake_heygen") == UNKNOWN


def test_a_doubtful_name_inside_a_folder_of_the_other_class_gives_no_label(tmp_path: Path) -> None:
    assert label_below(tmp_path / "a", "fake/real_actress_swap") == UNKNOWN
    assert label_below(tmp_path / "b", "fake/fake_sora") == FAKE
    assert label_below(tmp_path / "c", "fake/real_fake_mix") == UNKNOWN


@pytest.mark.parametrize("name", ["deepfake", "DeepFakes"])
def test_a_project_called_deepfake_does_not_make_its_videos_fake(name: str, tmp_path: Path) -> None:
    project = tmp_path / "work" / name
    plant(project, dict.fromkeys(["real/a.mp4", "fake/b.mp4", "unsorted/c.mp4"], ""))
    for root in (project, project.parent):
        labels = {item.path.stem: item.label for item in by_id(root).values()}
        assert labels == {"a": REAL, "b": FAKE, "c": UNKNOWN}
    (project / "real").rename(project / "phone")
    assert {item.label for item in by_id(project).values()} == {FAKE, UNKNOWN}


def test_a_folder_called_deepfakes_may_be_given_alone_if_real_videos_are_beside_it(
    tmp_path: Path,
) -> None:
    plant(tmp_path, {"deepfakes/a.mp4": "", "originals/b.mp4": ""})
    assert by_id(tmp_path / "deepfakes")["a.mp4"].label == FAKE


def test_the_recognised_folders_are_listed_with_their_counts(tmp_path: Path) -> None:
    names = ["real_videos/a.mp4", "real_videos/b.mp4", "originals/c.mp4", "Fakes/d.mp4", "x/e.mp4"]
    plant(tmp_path, dict.fromkeys(names, ""))
    (data_set,) = find_data_sets(tmp_path)
    assert data_set.notes == (
        "real by the folder name: real_videos (2), originals (1)",
        "fake by the folder name: Fakes (1)",
    )


def test_folders_that_look_like_classes_but_give_no_label_are_listed(tmp_path: Path) -> None:
    names = ["unreal/a.mp4", "unreal/sub/b.mp4", "real_fake_mix/c.mp4", "0/d.mp4", "phone/e.mp4"]
    plant(tmp_path / "set", dict.fromkeys([*names, "fake/f.mp4"], ""))
    folders = unrecognised_classes(collect([tmp_path / "set"]).items)
    assert folders == {"set/unreal": 2, "set/real_fake_mix": 1, "set/0": 1}
