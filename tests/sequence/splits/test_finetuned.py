"""Features of a finetuned CNN: no clip of its training is ever a test clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from hypothesis import given
from hypothesis import strategies as st
from records import make_record, write_store
from viewing import with_views

from deepfake_seq.config import ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.datasets.finetune_overlap import NEVER_TESTED
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.cross_validation import study
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import count_members, fit
from deepfake_seq.sequence.splits.overlap import (
    classify_overlap,
    cnn_overlaps,
    needs_cnn_split,
)
from deepfake_seq.sequence.splits.split import DataSplit, make_folds, split_data
from deepfake_seq.sequence.splits.split_file import SplitClip
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, member_pairs
from deepfake_seq.store import FeatureRecord

KINDS = ("train", "validation", "test", "related", "unseen")
QUICK = ExperimentConfig(ModelConfig("logistic"), TrainConfig(epochs=2))


def data_of(clips: Sequence[Clip]) -> SequenceData:
    features = ArrayFeatures(
        np.zeros((len(clips), 1, 1), np.float16), np.ones((len(clips), 1), bool)
    )
    return SequenceData(tuple(clips), features, np.arange(len(clips)))


def clip(number: int, kind: object, *groups: str, **changes: Any) -> Clip:
    facts = {} if kind is None else {"cnn_part": kind}
    values = {"groups": groups, "sha256": f"{number:064x}", "facts": facts, **changes}
    return Clip(f"{number:03}.mp4", number % 2, **values)


def of_kinds(**counts: int) -> list[Clip]:
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return [clip(number, kind) for number, kind in enumerate(kinds)]


def overlaps_in(clips: Sequence[Clip], split: DataSplit) -> dict[str, list[str]]:
    """Return the overlaps of the clips in each split."""
    positions_of = {**split.positions.by_name(), "dropped": split.positions.dropped}
    return {
        name: sorted(str(clips[position].facts.get("cnn_part")) for position in positions)
        for name, positions in positions_of.items()
    }


def test_the_split_of_the_cnns_run_is_used_with_a_warning() -> None:
    clips = of_kinds(train=8, validation=4, test=4, related=2, unseen=2)
    split = split_data(data_of(clips), SplitConfig())
    assert overlaps_in(clips, split) == {
        "train": ["related"] * 2 + ["train"] * 8,
        "validation": ["validation"] * 4,
        "test": ["test"] * 4 + ["unseen"] * 2,
        "dropped": [],
    }
    assert "finetuned on 12 of these clips: the split of its run" in split.warnings[0]
    assert not split.official


def test_another_split_is_refused_with_the_reason() -> None:
    data = data_of(of_kinds(train=8, validation=4, test=4))
    for refused in (
        lambda: split_data(data, SplitConfig(strategy="group")),
        lambda: make_folds(data, 2, 0),
    ):
        with pytest.raises(DatasetError, match=r"finetuned on 12 .* Leave out --split group"):
            refused()


def test_any_split_is_allowed_if_the_cnn_was_trained_on_no_clip() -> None:
    data = data_of(of_kinds(test=10, unseen=30))
    split = split_data(data, SplitConfig(strategy="group"))
    assert len(split.positions.train) == 24 and not split.inherited
    assert len(make_folds(data, 4, 0)) == 4


def test_an_official_split_makes_no_training_clip_of_the_cnn_a_test_clip() -> None:
    clips = of_kinds(train=8, validation=4, test=4)
    official = [replace(c, split="test" if n < 3 else "train") for n, c in enumerate(clips)]
    split, plain = (split_data(data_of(some), SplitConfig()) for some in (official, clips))
    assert overlaps_in(official, split) == overlaps_in(clips, plain)
    assert "3 test clips of the dataset's official split are not tested on" in split.warnings[1]
    with pytest.raises(DatasetError, match="finetuned on 3 of the official split's test clips"):
        split_data(data_of(official), SplitConfig(strategy="official"))


def test_missing_validation_is_split_off_from_the_training_clips() -> None:
    clips = of_kinds(train=12, related=4, test=4)
    split = split_data(data_of(clips), SplitConfig(validation=0.25))
    overlaps = overlaps_in(clips, split)
    assert overlaps["test"] == ["test"] * 4 and len(overlaps["validation"]) == 4
    assert not {"test", "unseen"} & {*overlaps["train"], *overlaps["validation"]}


def test_a_split_of_the_cnns_run_without_a_class_is_refused_with_a_remedy() -> None:
    clips = [replace(real, label=0) for real in of_kinds(train=4)]
    clips += [clip(10 + n, "validation") for n in range(4)]
    with pytest.raises(DatasetError, match=r"training set .* extract features with another CNN"):
        split_data(data_of(clips), SplitConfig())


def test_clips_outside_the_cnns_run_share_no_group_with_another_split() -> None:
    clips_of_run = [
        *(clip(n, "train", "ann") for n in range(4)),
        *(clip(n, "validation", "val") for n in range(4, 8)),
        *(clip(n, "test", "tim") for n in range(8, 12)),
    ]
    other_clips = [
        clip(20, "related", "ann"),
        clip(21, "related", "ann", "val"),
        clip(22, "related", "ann", "tim"),
        clip(23, "related", "ann", "stranger"),
        clip(24, "unseen", "stranger"),
        clip(25, "unseen", "tim"),
        clip(26, "unseen", "ann"),
        clip(27, "unseen", "val"),
        clip(28, "related", "ann", "odd"),
        clip(29, "unseen", "ann", "odd"),
        clip(30, "unseen", sha256=f"{0:064x}"),
    ]
    clips = [*clips_of_run, *other_clips]
    split = split_data(data_of(clips), SplitConfig())
    assert split.positions.dropped.tolist() == [13, 14, 15, 18, 19, 21, 22]
    assert [clips[at].video_id for at in split.positions.test[-2:]] == ["024.mp4", "025.mp4"]
    assert not split.shared
    assert any("7 clips were dropped" in warning for warning in split.warnings)


def test_groups_shared_by_the_splits_of_the_cnns_run_give_a_warning() -> None:
    clips = [replace(c, groups=("ann",)) for c in of_kinds(train=4, validation=4, test=4)]
    split = split_data(data_of(clips), SplitConfig())
    (shared,) = [warning for warning in split.warnings if "shares" in warning]
    assert "split of the CNN's run shares 1 identities" in shared
    assert "--split group" not in shared


@pytest.mark.parametrize("fact", [None, 5, "", "Train", ["unseen"], {}, True, "unseen "])
def test_an_invalid_fact_counts_as_related(fact: object) -> None:
    odd = clip(99, fact, "eve")
    clips = [*of_kinds(train=4, validation=4, test=4), odd]
    assert cnn_overlaps(clips)[-1] == "related" and needs_cnn_split([odd]) == (fact is not None)
    split = split_data(data_of(clips), SplitConfig())
    assert len(clips) - 1 in split.positions.train
    assert classify_overlap(clips, {})[-1] == "related"


SPLIT = {
    "train": {"a.mp4": SplitClip("aa", ())},
    "test": {"t.mp4": SplitClip("tt", ()), "u.mp4": SplitClip("uu", ())},
    "dropped": {"d.mp4": SplitClip("dd", ())},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_clip_of_the_cnn_is_related_to_a_run_that_would_test_on_it(kind: str) -> None:
    facts: dict[str, object] = {"cnn_part": kind}
    clips = [Clip(f"{name}.mp4", 0, sha256=name * 2, facts=facts) for name in "atdx"]
    expected = ["train", "test", "dropped", "unseen"]
    if kind in NEVER_TESTED:
        expected = ["train", "related", "dropped", "related"]
    assert classify_overlap(clips, SPLIT) == expected


def test_features_of_a_cnn_that_was_not_finetuned_have_no_overlap() -> None:
    clips = [Clip(f"{name}.mp4", 0, sha256=name * 2) for name in "atx"]
    assert cnn_overlaps(clips) == [""] * 3
    assert classify_overlap(clips, SPLIT) == ["train", "test", "unseen"]


groups = st.lists(st.sampled_from("abcdefgh"), max_size=2, unique=True).map(tuple)


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS, None, "odd"]), groups, st.integers(0, 30)), max_size=40
    ),
    st.sampled_from(["auto", "official", "group"]),
)
def test_no_split_of_any_store_tests_on_a_training_clip_of_the_cnn(
    other_clips: list[tuple[object, tuple[str, ...], int]], strategy: str
) -> None:
    clips = [
        clip(n, kind, *people, sha256=f"{file:064x}")
        for n, (kind, people, file) in enumerate([("train", (), 99), *other_clips])
    ]
    overlaps = cnn_overlaps(clips)
    data = data_of(clips)
    try:
        split = split_data(data, SplitConfig(strategy=strategy)).positions
    except DatasetError:
        return
    assert strategy != "group"
    assert not any(overlaps[at] in NEVER_TESTED for at in split.test)
    assert all(overlaps[at] in NEVER_TESTED for at in (*split.train, *split.validation))
    whole = np.concatenate([split.train, split.validation, split.test, split.dropped])
    assert sorted(whole.tolist()) == list(range(len(clips)))
    for overlap, others in (
        ("related", (split.test,)),
        ("unseen", (split.train, split.validation)),
    ):
        groups_in_others = {group for rows in others for at in rows for group in clips[at].groups}
        used = [at for rows in split.by_name().values() for at in rows if overlaps[at] == overlap]
        assert not groups_in_others & {group for at in used for group in clips[at].groups}


def records() -> list[FeatureRecord]:
    """Return 12 clips of each overlap, in pairs of one person."""
    return [
        make_record(
            f"{n:03}.mp4",
            seed=n,
            label=n % 2,
            shift=float(n % 2),
            groups=(f"p{n // 2}",),
            facts={"cnn_part": KINDS[n // 2 % 5]},
        )
        for n in range(60)
    ]


def test_fit_uses_the_split_of_the_cnns_run_with_one_member(
    tmp_path: Path,
) -> None:
    store = write_store(tmp_path / "s", with_views(records()))
    experiment = load_experiment(store, SplitConfig())
    assert count_members(experiment, QUICK) == 1
    result = fit(experiment, tmp_path / "run", QUICK)
    assert result.split == {"train": 24, "validation": 12, "test": 24, "dropped": 0}
    assert result.members == 1 and "the split of its run is used" in " ".join(result.warnings)
    assert "the split of its run is used" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(DatasetError, match="Leave out --split group, --folds and --members"):
        several = replace(QUICK, train=replace(QUICK.train, members=3))
        member_pairs(experiment.data, experiment.split.positions, several)
    with pytest.raises(DatasetError, match="Leave out --split group, --folds"):
        study(experiment, [QUICK], folds=3, seeds=1)
    tests = study(experiment, [QUICK], folds=0, seeds=2).outcomes["logistic"]
    assert tests[0].video_ids == tests[1].video_ids


@pytest.mark.parametrize("option", [("--split", "group"), ("--folds", "3"), ("--members", "2")])
def test_the_command_refuses_another_split_in_one_line(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    store = write_store(tmp_path / "s", records())
    result = deepseq("fit", "--features", store.path, "--out", tmp_path / "x", *option)
    assert result.exit_code == 1 and not (tmp_path / "x").exists()
    (line,) = result.stderr.splitlines()
    assert "finetuned on 36 of the clips" in line and "--folds" in line


@pytest.mark.slow
def test_evaluate_uses_no_training_clip_of_the_cnn(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", records())
    fit(load_experiment(store, SplitConfig()), tmp_path / "run", QUICK)
    tested = deepseq("evaluate", tmp_path / "run", "--features", store.path)
    assert tested.exit_code == 0, tested.stderr
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    # The same clips and copies of them, all marked as training clips of the CNN.
    marked = [
        replace(record, video_id=f"{copy}{record.video_id}", facts={"cnn_part": "train"}, **changes)
        for copy, changes in (("", {}), ("new/", {"groups": ("x",)}))
        for record in records()
    ]
    marked_store = write_store(tmp_path / "marked", marked)
    result = deepseq("evaluate", tmp_path / "run", "--features", marked_store.path)
    assert result.exit_code == 0
    assert "unseen" not in result.stdout.splitlines()[0]
    assert "the run or its CNN was trained on" in result.stderr
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
