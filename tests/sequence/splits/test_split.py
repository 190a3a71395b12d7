"""Leaks are planted here, and each must be found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepfake_seq.config import SplitConfig
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.splits.split import make_folds, require_disjoint, split_data


def data_of(clips: list[Clip]) -> SequenceData:
    features = ArrayFeatures(
        np.zeros((len(clips), 1, 1), np.float16), np.ones((len(clips), 1), bool)
    )
    return SequenceData(tuple(clips), features, np.arange(len(clips)))


def clip(number: int, **changes: Any) -> Clip:
    values = {"groups": (f"p{number // 2}",), "sha256": f"{number:064x}", **changes}
    return Clip(f"{number:02}.mp4", number % 2, **values)


def assigned(number: int, **changes: Any) -> Clip:
    """A clip whose data set assigns its part: 12 for training, 4 and 4 for the others."""
    part = "train" if number < 12 else "validation" if number < 16 else "test"
    return clip(number, part=part, **changes)


def test_the_same_file_under_two_names_never_stands_on_two_sides() -> None:
    twin = "ab" * 32
    clips = [
        clip(number, groups=(), sha256=twin if number in (3, 8, 17) else f"{number:064x}")
        for number in range(40)
    ]
    for seed in range(20):
        parts = split_data(data_of(clips), SplitConfig(seed=seed))
        where = {
            name
            for name, positions in parts.split.by_name().items()
            for position in positions
            if clips[position].sha256 == twin
        }
        assert len(where) == 1
        assert parts.duplicates == 2 and "2 clips are duplicates" in parts.warnings[0]
        for rest, held_out in make_folds(data_of(clips), 4, seed):
            digests = [{clips[p].sha256 for p in part} for part in (rest, held_out)]
            assert not digests[0] & digests[1]


def test_the_people_of_one_video_stay_together_and_are_no_twins() -> None:
    clips = [
        Clip(f"{n // 2:02}.mp4#{n % 2}", n // 2 % 2, sha256=f"{n // 2:064x}") for n in range(60)
    ]
    parts = split_data(data_of(clips), SplitConfig())
    assert parts.duplicates == 0 and not parts.warnings
    for positions in parts.split.by_name().values():
        videos = [clips[position].sha256 for position in positions]
        assert all(videos.count(video) == 2 for video in videos)


def test_a_given_split_with_the_same_file_in_two_parts_is_refused_by_both_names() -> None:
    clips = [assigned(n, sha256="ab" * 32 if n in (0, 19) else f"{n:064x}") for n in range(20)]
    with pytest.raises(DatasetError, match=r"in train and in test \(00\.mp4 is 19\.mp4\)"):
        split_data(data_of(clips), SplitConfig(allow_shared=True))


def test_a_given_split_with_an_identity_on_both_sides_is_refused_unless_allowed() -> None:
    clips = [assigned(n, groups=("ann",) if n in (0, 19) else ()) for n in range(20)]
    with pytest.raises(DatasetError, match="group ann stands in train and in test"):
        split_data(data_of(clips), SplitConfig())
    parts = split_data(data_of(clips), SplitConfig(allow_shared=True))
    assert parts.shared == {"ann": ("train", "test")}


def test_what_a_published_split_shares_is_counted_and_told() -> None:
    clips = [
        assigned(n, groups=(f"id{n % 5}",), facts={"dataset": "celeb-df-v2"}) for n in range(20)
    ]
    parts = split_data(data_of(clips), SplitConfig())
    assert parts.official and len(parts.shared) == 5
    (warning,) = parts.warnings
    assert "shares 5 identities" in warning and "4 of them between training and test" in warning
    assert "id0, id1" in warning


def test_a_published_split_can_be_set_aside_for_one_by_group() -> None:
    clips = [
        assigned(n, groups=(f"id{n // 2}",), facts={"dataset": "celeb-df-v2"}) for n in range(20)
    ]
    parts = split_data(data_of(clips), SplitConfig(strategy="group"))
    assert not parts.official and not parts.shared


def test_an_official_split_that_is_not_there_is_not_made_up() -> None:
    with pytest.raises(DatasetError, match="no clip has a part assigned"):
        split_data(data_of([clip(n) for n in range(20)]), SplitConfig(strategy="official"))


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({}, {}, "stands in a and in b"),
        ({"sha256": "ab" * 32}, {"sha256": "ab" * 32}, "the same video stands in a and in b"),
        ({"groups": ("ann",)}, {"groups": ("ann", "bob")}, "group ann stands in a and in b"),
    ],
    ids=["clip", "file", "group"],
)
def test_parts_that_intersect_are_refused_however_they_came_about(
    one: dict[str, Any], other: dict[str, Any], message: str
) -> None:
    numbers = (1, 1) if not one else (1, 2)
    clips = [clip(numbers[0], **{"groups": (), **one}), clip(numbers[1], **{"groups": (), **other})]
    parts = {"a": np.array([0]), "b": np.array([1])}
    with pytest.raises(DatasetError, match=message):
        require_disjoint(data_of(clips), parts, shared_allowed=False)
