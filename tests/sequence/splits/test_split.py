"""Splits that leak are refused, however they were made."""

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
    """Return a clip with an assigned split: 12 for training, 4 each for the others."""
    split = "train" if number < 12 else "validation" if number < 16 else "test"
    return clip(number, split=split, **changes)


def test_duplicates_are_kept_in_one_split() -> None:
    duplicate = "ab" * 32
    clips = [
        clip(number, groups=(), sha256=duplicate if number in (3, 8, 17) else f"{number:064x}")
        for number in range(40)
    ]
    for seed in range(20):
        split = split_data(data_of(clips), SplitConfig(seed=seed))
        names = {
            name
            for name, positions in split.positions.by_name().items()
            for position in positions
            if clips[position].sha256 == duplicate
        }
        assert len(names) == 1
        assert split.duplicates == 2 and "2 clips are duplicates" in split.warnings[0]
        for rest, held_out in make_folds(data_of(clips), 4, seed):
            digests = [{clips[p].sha256 for p in rows} for rows in (rest, held_out)]
            assert not digests[0] & digests[1]


def test_several_people_of_one_video_stay_together_and_are_no_duplicates() -> None:
    clips = [
        Clip(f"{n // 2:02}.mp4#{n % 2}", n // 2 % 2, sha256=f"{n // 2:064x}") for n in range(60)
    ]
    split = split_data(data_of(clips), SplitConfig())
    assert split.duplicates == 0 and not split.warnings
    for positions in split.positions.by_name().values():
        videos = [clips[position].sha256 for position in positions]
        assert all(videos.count(video) == 2 for video in videos)


def test_an_assigned_split_with_duplicates_in_two_splits_is_refused() -> None:
    clips = [assigned(n, sha256="ab" * 32 if n in (0, 19) else f"{n:064x}") for n in range(20)]
    with pytest.raises(DatasetError, match=r"in both train and test \(00\.mp4 = 19\.mp4\)"):
        split_data(data_of(clips), SplitConfig(allow_shared=True))


def test_an_assigned_split_with_a_shared_identity_is_refused_unless_allowed() -> None:
    clips = [assigned(n, groups=("ann",) if n in (0, 19) else ()) for n in range(20)]
    with pytest.raises(DatasetError, match="group ann appears in both train and test"):
        split_data(data_of(clips), SplitConfig())
    split = split_data(data_of(clips), SplitConfig(allow_shared=True))
    assert split.shared == {"ann": ("train", "test")}


def test_shared_identities_of_a_published_split_give_a_warning() -> None:
    clips = [
        assigned(n, groups=(f"id{n % 5}",), facts={"dataset": "celeb-df-v2"}) for n in range(20)
    ]
    split = split_data(data_of(clips), SplitConfig())
    assert split.official and len(split.shared) == 5
    (warning,) = split.warnings
    assert "shares 5 identities" in warning and "4 of them between training and test" in warning
    assert "id0, id1" in warning


def test_a_published_split_can_be_replaced_by_one_by_group() -> None:
    clips = [
        assigned(n, groups=(f"id{n // 2}",), facts={"dataset": "celeb-df-v2"}) for n in range(20)
    ]
    split = split_data(data_of(clips), SplitConfig(strategy="group"))
    assert not split.official and not split.shared


def test_a_missing_official_split_is_an_error() -> None:
    with pytest.raises(DatasetError, match="assigns no clip to a split"):
        split_data(data_of([clip(n) for n in range(20)]), SplitConfig(strategy="official"))


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({}, {}, "appears in both a and b"),
        ({"sha256": "ab" * 32}, {"sha256": "ab" * 32}, "the same video appears in both a and b"),
        ({"groups": ("ann",)}, {"groups": ("ann", "bob")}, "group ann appears in both a and b"),
    ],
    ids=["clip", "file", "group"],
)
def test_overlapping_splits_are_refused(
    one: dict[str, Any], other: dict[str, Any], message: str
) -> None:
    numbers = (1, 1) if not one else (1, 2)
    clips = [clip(numbers[0], **{"groups": (), **one}), clip(numbers[1], **{"groups": (), **other})]
    splits = {"a": np.array([0]), "b": np.array([1])}
    with pytest.raises(DatasetError, match=message):
        require_disjoint(data_of(clips), splits, shared_allowed=False)
