from __future__ import annotations

from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.sequence.splits.overlap import classify_overlap
from deepfake_seq.sequence.splits.split_file import SplitClip

SPLIT = {
    "train": {"a.mp4": SplitClip("aa", ("ann",)), "b.mp4": SplitClip("bb", ())},
    "validation": {"b.mp4": SplitClip("bb", ()), "v.mp4": SplitClip("vv", ("val",))},
    "test": {"t.mp4": SplitClip("tt", ("tim",)), "u.mp4": SplitClip("", ())},
    "dropped": {"d.mp4": SplitClip("dd", ())},
}


def clip(video_id: str, sha256: str, *groups: str) -> Clip:
    return Clip(video_id, 0, groups, sha256=sha256)


def kinds(*clips: Clip) -> list[str]:
    return classify_overlap(clips, SPLIT)


def test_clips_of_the_run_are_recognised_by_name_and_content() -> None:
    clips_of_run = [clip(f"{name}.mp4", name * 2) for name in "abvtd"]
    assert kinds(*clips_of_run) == ["train", "train", "validation", "test", "dropped"]


def test_a_renamed_training_clip_is_not_unseen() -> None:
    assert kinds(clip("new.mp4", "aa"), clip("other.mp4", "xx")) == ["train", "unseen"]


def test_a_clip_without_a_hash_is_recognised_by_its_name() -> None:
    assert kinds(clip("a.mp4", ""), clip("u.mp4", "uu"), clip("z.mp4", "")) == [
        "train",
        "test",
        "unseen",
    ]


def test_another_encoding_of_a_training_clip_is_related_and_of_a_test_clip_unseen() -> None:
    assert kinds(clip("a.mp4", "recoded"), clip("v.mp4", "recoded too")) == ["related"] * 2
    assert kinds(clip("t.mp4", "recoded")) == ["unseen"]


def test_a_clip_of_a_person_in_the_training_clips_is_related() -> None:
    trained = clip("a.mp4", "aa", "ann", "bob")
    assert kinds(trained, clip("x.mp4", "x", "bob", "eve"), clip("y.mp4", "y", "eve")) == [
        "train",
        "related",
        "unseen",
    ]


def test_people_of_training_clips_that_are_not_in_the_store_are_recognised() -> None:
    assert kinds(clip("x.mp4", "x", "ann"), clip("y.mp4", "y", "val")) == ["related", "related"]


def test_people_of_test_clips_stay_unseen() -> None:
    assert kinds(clip("t.mp4", "tt", "tim"), clip("x.mp4", "x", "tim")) == ["test", "unseen"]


def test_a_duplicate_of_a_clip_in_the_store_is_a_copy() -> None:
    duplicates = [clip("t.mp4", "tt"), clip("duplicate.mp4", "tt")]
    assert kinds(*duplicates) == ["test", "copy"]
    assert kinds(*reversed(duplicates)) == ["copy", "test"]
    assert kinds(clip("one.mp4", "tt"), clip("two.mp4", "tt")) == ["test", "copy"]


def test_several_people_of_a_renamed_test_video_are_test_clips() -> None:
    split = {"test": {"v.mp4#0": SplitClip("vv", ()), "v.mp4#1": SplitClip("vv", ())}}
    moved = [clip("moved/v.mp4#0", "vv"), clip("moved/v.mp4#1", "vv")]
    assert classify_overlap(moved, split) == ["test", "test"]
    assert classify_overlap([*moved, clip("again/v.mp4#1", "vv")], split) == [
        "test",
        "test",
        "copy",
    ]
