"""Features of a CNN that has seen labels: no clip that it was trained on is ever tested on."""

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
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.cross_validation import study
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import count_members, fit
from deepfake_seq.sequence.splits.finetuned import BOUND, is_bound, parts_of
from deepfake_seq.sequence.splits.leakage import classify_overlap
from deepfake_seq.sequence.splits.split import DataSplit, make_folds, split_data
from deepfake_seq.sequence.splits.split_file import SplitClip
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, pairs_of
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


def where(clips: Sequence[Clip], parts: DataSplit) -> dict[str, list[str]]:
    """What each part holds, by how the CNN knows it."""
    split = {**parts.split.by_name(), "dropped": parts.split.dropped}
    return {
        name: sorted(str(clips[at].facts.get("cnn_part")) for at in positions)
        for name, positions in split.items()
    }


def test_the_cnns_own_split_is_taken_over_and_said_to_be() -> None:
    clips = of_kinds(train=8, validation=4, test=4, related=2, unseen=2)
    parts = split_data(data_of(clips), SplitConfig())
    assert where(clips, parts) == {
        "train": ["related"] * 2 + ["train"] * 8,
        "validation": ["validation"] * 4,
        "test": ["test"] * 4 + ["unseen"] * 2,
        "dropped": [],
    }
    assert "fine-tuned on 12 of these clips: its own split was taken over" in parts.warnings[0]
    assert not parts.official


def test_whoever_asks_for_another_split_is_told_why_there_is_none() -> None:
    data = data_of(of_kinds(train=8, validation=4, test=4))
    for refused in (
        lambda: split_data(data, SplitConfig(strategy="group")),
        lambda: make_folds(data, 2, 0),
    ):
        with pytest.raises(DatasetError, match=r"fine-tuned on 12 .* Leave out --split group"):
            refused()


def test_where_the_cnn_knows_none_of_the_clips_anything_goes() -> None:
    data = data_of(of_kinds(test=10, unseen=30))
    parts = split_data(data, SplitConfig(strategy="group"))
    assert len(parts.split.train) == 24 and not parts.inherited
    assert len(make_folds(data, 4, 0)) == 4


def test_an_official_split_moves_no_clip_that_the_cnn_was_trained_on_into_the_test() -> None:
    clips = of_kinds(train=8, validation=4, test=4)
    moved = [replace(own, part="test" if n < 3 else "train") for n, own in enumerate(clips)]
    parts = split_data(data_of(moved), SplitConfig())
    assert where(moved, parts) == where(clips, split_data(data_of(clips), SplitConfig()))
    assert "3 clips that the data set has for testing are not tested on" in parts.warnings[1]
    with pytest.raises(DatasetError, match="fine-tuned on 3 of the official split's test clips"):
        split_data(data_of(moved), SplitConfig(strategy="official"))


def test_validation_that_the_store_lacks_comes_from_what_may_be_trained_on() -> None:
    clips = of_kinds(train=12, related=4, test=4)
    parts = split_data(data_of(clips), SplitConfig(validation=0.25))
    told = where(clips, parts)
    assert told["test"] == ["test"] * 4 and len(told["validation"]) == 4
    assert not {"test", "unseen"} & {*told["train"], *told["validation"]}


def test_a_split_of_the_cnn_that_lacks_a_class_is_refused_with_what_to_do() -> None:
    clips = [replace(own, label=0) for own in of_kinds(train=4)]
    clips += [clip(10 + n, "validation") for n in range(4)]
    with pytest.raises(DatasetError, match=r"training set .* extract features with another CNN"):
        split_data(data_of(clips), SplitConfig())


def test_what_only_resembles_the_cnns_clips_crosses_no_part_of_its_split() -> None:
    own = [
        *(clip(n, "train", "ann") for n in range(4)),
        *(clip(n, "validation", "val") for n in range(4, 8)),
        *(clip(n, "test", "tim") for n in range(8, 12)),
    ]
    guests = [
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
    clips = [*own, *guests]
    parts = split_data(data_of(clips), SplitConfig())
    assert parts.split.dropped.tolist() == [13, 14, 15, 18, 19, 21, 22]
    assert [clips[at].video_id for at in parts.split.test[-2:]] == ["024.mp4", "025.mp4"]
    assert not parts.shared
    assert any("7 clips were dropped" in warning for warning in parts.warnings)


def test_what_the_cnns_own_parts_share_is_left_and_told() -> None:
    clips = [replace(own, groups=("ann",)) for own in of_kinds(train=4, validation=4, test=4)]
    parts = split_data(data_of(clips), SplitConfig())
    (shared,) = [warning for warning in parts.warnings if "shares" in warning]
    assert "split of the CNN's own run shares 1 identities" in shared
    assert "--split group" not in shared


@pytest.mark.parametrize("said", [None, 5, "", "Train", ["unseen"], {}, True, "unseen "])
def test_what_makes_no_sense_is_never_taken_for_unseen(said: object) -> None:
    odd = clip(99, said, "eve")
    clips = [*of_kinds(train=4, validation=4, test=4), odd]
    assert parts_of(clips)[-1] == "related" and is_bound([odd]) == (said is not None)
    parts = split_data(data_of(clips), SplitConfig())
    assert len(clips) - 1 in parts.split.train
    assert classify_overlap(clips, {})[-1] == "related"


SPLIT = {
    "train": {"a.mp4": SplitClip("aa", ())},
    "test": {"t.mp4": SplitClip("tt", ()), "u.mp4": SplitClip("uu", ())},
    "dropped": {"d.mp4": SplitClip("dd", ())},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_of_the_cnns_training_is_related_to_a_run_that_would_judge_it(kind: str) -> None:
    own = {"facts": {"cnn_part": kind}}
    clips = [Clip(f"{name}.mp4", 0, sha256=name * 2, **own) for name in "atdx"]
    expected = ["train", "test", "dropped", "unseen"]
    if kind in BOUND:
        expected = ["train", "related", "dropped", "related"]
    assert classify_overlap(clips, SPLIT) == expected


def test_features_of_any_other_cnn_are_judged_as_ever() -> None:
    clips = [Clip(f"{name}.mp4", 0, sha256=name * 2) for name in "atx"]
    assert parts_of(clips) == [""] * 3
    assert classify_overlap(clips, SPLIT) == ["train", "test", "unseen"]


groups = st.lists(st.sampled_from("abcdefgh"), max_size=2, unique=True).map(tuple)


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS, None, "odd"]), groups, st.integers(0, 30)), max_size=40
    ),
    st.sampled_from(["auto", "official", "group"]),
)
def test_however_a_store_is_made_up_nothing_known_to_the_cnn_is_tested_on(
    made_up: list[tuple[object, tuple[str, ...], int]], strategy: str
) -> None:
    clips = [
        clip(n, kind, *people, sha256=f"{file:064x}")
        for n, (kind, people, file) in enumerate([("train", (), 99), *made_up])
    ]
    known = parts_of(clips)
    data = data_of(clips)
    try:
        parts = split_data(data, SplitConfig(strategy=strategy))
    except DatasetError:
        return
    split = parts.split
    assert strategy != "group"
    assert not any(known[at] in BOUND for at in split.test)
    assert all(known[at] in BOUND for at in (*split.train, *split.validation))
    whole = np.concatenate([split.train, split.validation, split.test, split.dropped])
    assert sorted(whole.tolist()) == list(range(len(clips)))
    for guest, others in (("related", (split.test,)), ("unseen", (split.train, split.validation))):
        met = {name for part in others for at in part for name in clips[at].groups}
        used = [at for part in split.by_name().values() for at in part if known[at] == guest]
        assert not met & {name for at in used for name in clips[at].groups}


def records() -> list[FeatureRecord]:
    """As many clips of each kind, of one person each."""
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


def test_fit_takes_the_split_over_with_one_network_and_refuses_to_deal_anew(
    tmp_path: Path,
) -> None:
    store = write_store(tmp_path / "s", with_views(records()))
    experiment = load_experiment(store, SplitConfig())
    assert count_members(experiment, QUICK) == 1
    result = fit(experiment, tmp_path / "run", QUICK)
    assert result.split == {"train": 24, "validation": 12, "test": 24, "dropped": 0}
    assert result.members == 1 and "its own split was taken over" in " ".join(result.warnings)
    assert "its own split was taken over" in (tmp_path / "run" / "README.md").read_text()
    split = experiment.parts.split
    with pytest.raises(DatasetError, match="Leave out --split group, --folds and --members"):
        several = replace(QUICK, train=replace(QUICK.train, members=3))
        pairs_of(experiment.data, split.train, split.validation, several)
    with pytest.raises(DatasetError, match="Leave out --split group, --folds"):
        study(experiment, [QUICK], folds=3, seeds=1)
    tests = study(experiment, [QUICK], folds=0, seeds=2).outcomes["logistic"]
    assert tests[0].video_ids == tests[1].video_ids


@pytest.mark.parametrize("option", [("--split", "group"), ("--folds", "3"), ("--members", "2")])
def test_the_command_says_in_one_line_why_it_does_not(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    store = write_store(tmp_path / "s", records())
    told = deepseq("fit", "--features", store.path, "--out", tmp_path / "x", *option)
    assert told.exit_code == 1 and not (tmp_path / "x").exists()
    (line,) = told.stderr.splitlines()
    assert "fine-tuned on 36 of the clips" in line and "--folds" in line


def test_an_evaluation_judges_no_clip_that_the_cnn_was_trained_on(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", records())
    fit(load_experiment(store, SplitConfig()), tmp_path / "run", QUICK)
    tested = deepseq("evaluate", tmp_path / "run", "--features", store.path)
    assert tested.exit_code == 0, tested.stderr
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    # The same clips and copies of them; now the CNN is said to have been trained on all.
    later = [
        replace(own, video_id=f"{copy}{own.video_id}", facts={"cnn_part": "train"}, **changes)
        for copy, changes in (("", {}), ("new/", {"groups": ("x",)}))
        for own in records()
    ]
    told = deepseq(
        "evaluate", tmp_path / "run", "--features", write_store(tmp_path / "l", later).path
    )
    assert told.exit_code == 0
    assert "unseen" not in told.stdout.splitlines()[0]
    assert "or the CNN of its features, was trained on" in told.stderr
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
