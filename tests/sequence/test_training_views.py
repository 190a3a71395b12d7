"""Views are used only in training, with their clip, for any content of a store."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from hypothesis import given
from hypothesis import strategies as st
from records import make_record, payload, write_store
from sweeping import make_plan
from viewing import clips, view_of, with_views

from deepfake_seq.config import ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.errors import DatasetError, StoreError, UsageError
from deepfake_seq.sequence import experiment as experiment_module
from deepfake_seq.sequence.cross_validation import rounds
from deepfake_seq.sequence.data.dataset import SequenceData, clip_key, load, usable
from deepfake_seq.sequence.data.features import ArrayFeatures, StoreFeatures
from deepfake_seq.sequence.data.view_records import ViewRecord
from deepfake_seq.sequence.data.views import DAMAGED, UNUSABLE, WITHOUT_CLIP, is_view
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.writer import FitResult
from deepfake_seq.sequence.sweep import sweep
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, fit_ensemble
from deepfake_seq.sequence.training.train import TrainedNetwork
from deepfake_seq.store import FeatureRecord, FeatureStore, SourceFile

QUICK = ExperimentConfig(train=TrainConfig(epochs=2, learning_rate=1e-2, batch_size=16, members=1))
STREAMED = 0
IN_MEMORY = 1 << 20


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return write_store(tmp_path_factory.mktemp("stores") / "store", clips())


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("stores") / "store"
    return write_store(folder, with_views(clips(), each=2))


@pytest.fixture(params=[IN_MEMORY, STREAMED], ids=["in memory", "from the store"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The memory in bytes that `fit` has for features."""
    monkeypatch.setattr(
        experiment_module, "load", lambda store, **options: load(store, request.param, **options)
    )
    return int(request.param)


def names(data: SequenceData) -> list[str]:
    return [clip.video_id for clip in data.clips]


def test_a_view_is_loaded_with_its_clip(
    plain: FeatureStore, viewed: FeatureStore, memory: int
) -> None:
    data = load(viewed, memory)
    assert names(data) == names(load(plain))
    assert data.counts == {"real": 20, "fake": 20} and not data.excluded
    assert data.view_counts == {"real": 40, "fake": 80}
    taken = data.take(np.array([7, 2]))
    joined = SequenceData.joined([data.take(np.array([7])), data.take(np.array([2]))])
    for subset in (taken, joined):
        assert [[view.video_id for view in clip.views] for clip in subset.clips] == [
            ["007.mp4@view1", "007.mp4@view2"],
            ["002.mp4@view1", "002.mp4@view2", "002.mp4@blend1", "002.mp4@blend2"],
        ]


def test_training_rows_have_the_features_and_labels_of_their_records(
    viewed: FeatureStore, memory: int
) -> None:
    rows = load(viewed, memory).take(np.array([5, 30, 0])).with_views()
    assert len(rows) == 3 + 2 + 4 + 4
    features = np.concatenate([batch for batch, _ in rows.batches(4)])
    for row, clip in zip(features, rows.clips, strict=True):
        record = viewed[clip.video_id]
        assert np.array_equal(row, record.features) and clip.label == record.label
        assert clip.groups == record.groups
    epoch = rows.epoch(4, np.random.default_rng(0))
    values = np.concatenate([batch[:, 0, 0] for (batch, _), _ in epoch])
    assert sorted(values.tolist()) == sorted(features[:, 0, 0].tolist())
    assert names(rows.with_views()) == names(rows)


def test_classes_are_balanced_over_all_training_rows(viewed: FeatureStore) -> None:
    balances: list[Balance] = []

    def train_member(training: SequenceData, validation: SequenceData, seed: int) -> TrainedNetwork:
        balances.append(Balance.of(("weights",), training.labels))
        raise KeyboardInterrupt

    data = load(viewed)
    with pytest.raises(KeyboardInterrupt):
        fit_ensemble(
            [(data.take(np.arange(20)), data.take(np.arange(20, 40)))], QUICK, train_member
        )
    # 10 real clips with two views and two fakes each, 10 fake clips with two views each.
    assert (balances[0].real, balances[0].fake) == (30, 50)


def written(folder: Path) -> tuple[bytes, ...]:
    """Return the files and fields of a run that depend on its clips."""
    files = (run.WEIGHTS, "history.csv", "predictions.csv", "split.json", "metrics.json")
    description = json.loads((folder / run.DESCRIPTION).read_text())
    keys = ("calibration", "decision", "shortcut", "split", "warnings")
    return (
        *((folder / name).read_bytes() for name in files),
        json.dumps([description[key] for key in keys]).encode(),
    )


def fit_run(store: FeatureStore, folder: Path, config: ExperimentConfig = QUICK) -> FitResult:
    return fit(load_experiment(store, config.split), folder, config)


def test_views_of_validation_and_test_clips_have_no_effect(
    plain: FeatureStore, tmp_path: Path, memory: int
) -> None:
    before = fit_run(plain, tmp_path / "before")
    splits = json.loads((tmp_path / "before" / "split.json").read_text())
    not_trained_on = {*splits["validation"], *splits["test"]}
    records = [
        record
        for clip in clips()
        for record in (with_views([clip]) if clip.video_id in not_trained_on else [clip])
    ]
    after = fit_run(write_store(tmp_path / "more" / "store", records), tmp_path / "after")
    assert written(tmp_path / "after") == written(tmp_path / "before")
    assert after.views == before.views == {"real": 0, "fake": 0}


@pytest.mark.parametrize("name", ["gru", "frame_attention", "logistic"])
def test_views_of_training_clips_change_the_model_but_not_the_split(
    name: str, plain: FeatureStore, viewed: FeatureStore, tmp_path: Path
) -> None:
    config = replace(QUICK, model=ModelConfig(name))
    fit_run(plain, tmp_path / "plain", config)
    result = fit_run(viewed, tmp_path / "viewed", config)
    one, other = (tmp_path / folder for folder in ("plain", "viewed"))
    assert (one / "split.json").read_bytes() == (other / "split.json").read_bytes()
    assert (one / run.WEIGHTS).read_bytes() != (other / run.WEIGHTS).read_bytes()
    baselines = [
        json.loads((folder / "metrics.json").read_text())["baselines"]["mean_pool_logistic"]
        for folder in (one, other)
    ]
    assert baselines[0] != baselines[1]
    assert result.views == {"real": 24, "fake": 24}


def test_a_run_counts_its_views_but_lists_none(viewed: FeatureStore, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fit_arguments = ("fit", "--features", viewed.path, "--epochs", 1, "--members", 1)
    result = deepseq(*fit_arguments, "--out", folder)
    assert "views: 48 for training only (24 real, 24 fake)" in result.stdout
    values = json.loads(deepseq(*fit_arguments, "--out", tmp_path / "x", "--json").stdout)
    assert values["views"] == {"real": 24, "fake": 24}
    assert sum(values["split"].values()) == 40
    assert json.loads((folder / "model.json").read_text())["views"] == values["views"]
    assert "48 for training only (24 real, 24 fake)" in (folder / "README.md").read_text()
    for name in ("split.json", "predictions.csv"):
        assert "@" not in (folder / name).read_text()
    with (folder / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == values["split"]["validation"] * 2
    evaluated = deepseq("evaluate", folder, "--features", viewed.path, "--json")
    counts = json.loads(evaluated.stdout)["clips"]
    assert sum(sum(classes.values()) for classes in counts.values()) == 40


def test_self_blended_fakes_are_used_with_real_fakes_only_on_request(
    viewed: FeatureStore, tmp_path: Path
) -> None:
    arguments = ("fit", "--features", viewed.path, "--epochs", 1, "--members", 1, "--out")
    without = deepseq(*arguments, tmp_path / "without")
    assert "left out: 24 self-blended fakes" in without.stdout
    assert "--pseudo-fakes" in without.stdout
    requested = deepseq(*arguments, tmp_path / "requested", "--pseudo-fakes")
    assert "views: 72 for training only (24 real, 48 fake)" in requested.stdout
    assert "left out" not in requested.stdout
    weights = [(tmp_path / name / run.WEIGHTS).read_bytes() for name in ("without", "requested")]
    assert weights[0] != weights[1]


SHARES = [0.1, 0.9, 0.8, 0.7, 0.4, 0.0]


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store whose self-blended fakes have known masks."""
    records = [
        replace(record, facts={**record.facts, "mask_shares": SHARES})
        if record.video_id.endswith("@blend1")
        else record
        for record in with_views(clips())
    ]
    return write_store(tmp_path_factory.mktemp("stores") / "store", records)


def test_replaced_shares_are_known_of_real_clips_and_of_fakes_with_a_mask(
    masked: FeatureStore, memory: int
) -> None:
    data = load(masked, memory)
    shares = data.with_views().mask_shares
    for clip, row in zip(data.with_views().clips, shares, strict=True):
        expected = [0.0] * 6 if clip.label == 0 else SHARES if "@blend" in clip.video_id else None
        assert np.isnan(row).all() if expected is None else row == pytest.approx(expected)


@pytest.mark.slow
def test_auxiliary_masks_trains_on_self_blended_fakes_without_calling_them_fakes(
    masked: FeatureStore, tmp_path: Path
) -> None:
    arguments = ("fit", "--features", masked.path, "--epochs", 1, "--members", 1, "--json")
    runs = {
        name: json.loads(deepseq(*arguments, "--out", tmp_path / name, *options).stdout)
        for name, options in {
            "without": (),
            "masks": ("--auxiliary", "masks"),
            "balanced": ("--auxiliary", "masks", "--balance", "batches"),
            "both": ("--auxiliary", "masks", "--pseudo-fakes"),
        }.items()
    }
    assert len({values["parameters"]["total"] for values in runs.values()}) == 1
    assert runs["masks"]["views"] == runs["without"]["views"] == {"real": 12, "fake": 12}
    assert runs["both"]["views"] == {"real": 12, "fake": 24}
    assert runs["masks"]["baselines"] == runs["without"]["baselines"]
    assert len({(tmp_path / name / run.WEIGHTS).read_bytes() for name in runs}) == len(runs)
    plain_output = deepseq(*arguments[:-1], "--out", tmp_path / "x", "--auxiliary", "masks").stdout
    assert "12 self-blended fakes, which train the second output alone" in plain_output


@pytest.mark.parametrize("name", ["logistic", "autoencoder"])
def test_models_without_layers_ignore_masks(
    name: str, masked: FeatureStore, tmp_path: Path
) -> None:
    config = replace(QUICK, model=ModelConfig(name))
    masks = replace(config, train=replace(config.train, auxiliary="masks"))
    for folder, settings in (("plain", config), ("masks", masks)):
        fit_run(masked, tmp_path / folder, settings)
    for file in (run.WEIGHTS, "predictions.csv", "metrics.json"):
        one, other = ((tmp_path / folder / file).read_bytes() for folder in ("plain", "masks"))
        assert one == other


@pytest.mark.parametrize("shares", [5, [0.1] * 5, [0.1] * 5 + [2.0], ["a"] * 6])
def test_invalid_shares_of_a_view_exclude_it(shares: object, tmp_path: Path) -> None:
    clip = make_record("a.mp4")
    view = view_of(clip, "blend")
    odd = replace(view, facts={**view.facts, "mask_shares": shares})
    data = load(write_store(tmp_path / "s", [clip, odd]))
    assert data.excluded == {DAMAGED: 1}


def test_invalid_shares_of_a_clip_are_an_error_that_names_it(tmp_path: Path) -> None:
    clip = make_record("a.mp4", label=1)
    odd = replace(clip, facts={**clip.facts, "mask_shares": [3.0] * 6})
    with pytest.raises(DatasetError, match=r"a\.mp4: the fact 'mask_shares'.*Received: \[3\.0"):
        load(write_store(tmp_path / "s", [odd]))


@pytest.mark.slow
def test_evaluate_does_not_read_views(
    plain: FeatureStore, viewed: FeatureStore, tmp_path: Path
) -> None:
    fit_run(plain, tmp_path / "run")
    shutil.copytree(viewed.path, tmp_path / "store")
    features = payload(viewed["004.mp4@view2"])
    for shard in (tmp_path / "store").glob("*.h5"):
        shard.write_bytes(shard.read_bytes().replace(features, bytes(len(features))))
    with pytest.raises(StoreError, match=r"004\.mp4@view2"):
        load_experiment(FeatureStore.open(tmp_path / "store"), SplitConfig())
    result = deepseq("evaluate", tmp_path / "run", "--features", tmp_path / "store", "--json")
    assert result.exit_code == 0, result.stderr
    counts = json.loads(result.stdout)["clips"]
    assert sum(sum(classes.values()) for classes in counts.values()) == 40


def test_without_views_the_output_does_not_mention_them(
    plain: FeatureStore, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    result = deepseq(
        *("fit", "--features", plain.path, "--epochs", 1, "--members", 1, "--out", folder)
    )
    assert "views:" not in result.stdout and "Views" not in (folder / "README.md").read_text()


@pytest.mark.parametrize("folds", [0, 4])
def test_a_round_trains_only_on_views_of_its_training_clips(
    viewed: FeatureStore, folds: int
) -> None:
    trained_on: list[list[str]] = []

    def train_member(training: SequenceData, validation: SequenceData, seed: int) -> TrainedNetwork:
        trained_on.append(names(training))
        raise KeyboardInterrupt

    config = replace(QUICK, train=replace(QUICK.train, members=3))
    for current in rounds(load(viewed), config, folds, seeds=1):
        for training, validation in current.pairs:
            with pytest.raises(KeyboardInterrupt):
                fit_ensemble([(training, validation)], config, train_member)
            rows = trained_on.pop()
            allowed = set(names(training))
            assert {name.partition("@")[0] for name in rows} == allowed
            assert len(rows) > len(allowed) and not any("@" in name for name in names(validation))
            assert not allowed & {*names(validation), *names(current.test)}
        assert not any("@" in name for name in names(current.test))


def changed_fact(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    values: dict[str, Any] = {"kind": "view", "number": 1, "of": "a.mp4", "settings": {}}
    change(values)
    return values


MALFORMED: dict[str, tuple[str, object]] = {
    "a number": ("a.mp4@view1", 5),
    "null": ("a.mp4@view1", None),
    "empty": ("a.mp4@view1", {}),
    "a list": ("a.mp4@view1", ["view", 1, "a.mp4"]),
    "another kind": ("a.mp4@view1", changed_fact(lambda fact: fact.update(kind="clip"))),
    "a kind that is a list": ("a.mp4@view1", changed_fact(lambda fact: fact.update(kind=["view"]))),
    "number zero": ("a.mp4@view0", changed_fact(lambda fact: fact.update(number=0))),
    "a boolean number": ("a.mp4@viewTrue", changed_fact(lambda fact: fact.update(number=True))),
    "a text number": ("a.mp4@view1", changed_fact(lambda fact: fact.update(number="1"))),
    "without its clip": ("a.mp4@view1", changed_fact(lambda fact: fact.pop("of"))),
    "a clip that is a number": ("a.mp4@view1", changed_fact(lambda fact: fact.update(of=3))),
    "under the name of a clip": ("b.mp4", changed_fact(lambda fact: None)),
    "of another clip than its name says": ("b.mp4@view1", changed_fact(lambda fact: None)),
    "another number than its name says": ("a.mp4@view2", changed_fact(lambda fact: None)),
    "of itself": ("x@view1", changed_fact(lambda fact: fact.update(of="x@view1"))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_record_marked_as_a_view_is_never_loaded_as_a_clip(
    name: str, tmp_path: Path, memory: int
) -> None:
    video_id, marked = MALFORMED[name]
    clip = make_record("a.mp4")
    odd = view_of(clip, video_id=video_id, facts={"view": marked})
    data = load(write_store(tmp_path / "s", [clip, odd]), memory)
    assert names(data) == ["a.mp4"] and data.view_counts == {"real": 0, "fake": 0}
    assert data.excluded == {DAMAGED: 1}


@pytest.mark.parametrize("name", ["a.mp4@view1", "a.mp4@blend12", "a.mp4#0@blend1", "a@view1#0"])
def test_a_record_named_like_a_view_is_never_loaded_as_a_clip(name: str, tmp_path: Path) -> None:
    odd = make_record(name, label=1)
    data = load(write_store(tmp_path / "s", [make_record("a.mp4"), odd]))
    assert names(data) == ["a.mp4"] and data.excluded == {DAMAGED: 1}
    with pytest.raises(DatasetError, match="1 damaged views"):
        load(write_store(tmp_path / "alone", [odd]))


ROW = 2 * 16 * 8
"""Size of the features of a record in bytes."""


def test_unused_views_take_no_memory(viewed: FeatureStore, tmp_path: Path) -> None:
    without = load(viewed, 40 * ROW, views=False)
    assert isinstance(without.features, ArrayFeatures) and without.features.shape[0] == 40
    assert without.view_counts == {"real": 0, "fake": 0} and not without.excluded
    assert isinstance(load(viewed, 40 * ROW).features, StoreFeatures)

    missing = ("003.mp4", "004.mp4")
    records = [record for record in with_views(clips()) if record.video_id not in missing]
    data = load(write_store(tmp_path / "s", records), (len(records) - 3) * ROW)
    assert isinstance(data.features, ArrayFeatures) and len(data) == 38
    assert data.excluded == {WITHOUT_CLIP: 3}
    rows = data.with_views()
    assert len(rows) == len(records) - 3
    last = data.features.read(rows.rows[-1:])[0][0]
    assert np.array_equal(last, view_of(clips()[-1]).features)


CLIP = make_record("a.mp4", groups=("ann", "bob"), split="train")
UNFIT: dict[str, tuple[FeatureRecord, FeatureRecord]] = {
    "another file": (CLIP, view_of(CLIP, source=SourceFile(1000, 123, "ab" * 32))),
    "another label": (CLIP, view_of(CLIP, label=1)),
    "a fake labelled real": (CLIP, view_of(CLIP, "blend", label=0)),
    "another person": (CLIP, view_of(CLIP, groups=("eve",))),
    "an additional person": (CLIP, view_of(CLIP, groups=("ann", "bob", "eve"))),
    "another split": (CLIP, view_of(CLIP, split="test")),
    "a clip without a label": (replace(CLIP, label=-1), view_of(CLIP)),
    "a clip without a face": (make_record("a.mp4", valid=0), view_of(CLIP)),
    "a missing clip": (make_record("c.mp4"), view_of(CLIP)),
    "a clip that is a view": (CLIP, view_of(view_of(CLIP))),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_view_that_does_not_fit_its_clip_is_excluded(name: str, tmp_path: Path) -> None:
    clip, odd = UNFIT[name]
    store = write_store(tmp_path / "s", [odd, clip, make_record("z.mp4")])
    data = load(store)
    assert data.view_counts == {"real": 0, "fake": 0}
    assert data.excluded[WITHOUT_CLIP] == 1
    assert set(names(data)) <= {"a.mp4", "c.mp4", "z.mp4"}


def test_views_with_too_few_valid_frames_are_counted_separately(tmp_path: Path) -> None:
    clip = make_record("a.mp4")
    faceless = make_record(
        "a.mp4@view1", valid=0, facts={"view": {"kind": "view", "number": 1, "of": "a.mp4"}}
    )
    data = load(write_store(tmp_path / "s", [clip, faceless]))
    assert data.excluded == {UNUSABLE: 1} and not data.clips[0].views


def test_usable_records_include_no_views(viewed: FeatureStore) -> None:
    from collections import Counter

    excluded: Counter[str] = Counter()
    assert {record.video_id for record in usable(viewed, excluded)} == set(names(load(viewed)))
    assert excluded.total() == 120


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["a.mp4", "a.mp4@view1", "a.mp4#0@blend2", "@view1"]),
    json_values
    | st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(["view", "blend"]) | json_values,
            "number": st.integers(-1, 3) | json_values,
            "of": st.sampled_from(["a.mp4", "a.mp4#0", ""]) | json_values,
            "settings": json_values,
        },
    ),
)
def test_every_view_fact_is_either_valid_or_refused(name: str, fact: object) -> None:
    record = make_record(name, facts={"view": fact})
    assert is_view(record.video_id, record.facts)
    try:
        view = ViewRecord.read(record, 0).view
    except ValueError:
        return
    assert view.of != name and f"{view.of}@" == name[: len(view.of) + 1]


@given(st.text(), st.sampled_from(["", "#0", "#12"]), st.sampled_from(["view", "blend"]))
def test_a_view_has_the_key_of_its_clip(name: str, person: str, kind: str) -> None:
    record = f"{name}.mp4{person}"
    assert clip_key(f"{record}@{kind}3", "ab") == clip_key(record, "ab") == f"ab{person}"
    assert is_view(f"{record}@{kind}3", {}) and not is_view(record, {})


@pytest.mark.slow
def test_a_sweep_counts_clips_and_detects_changed_views(
    plain: FeatureStore, viewed: FeatureStore, tmp_path: Path
) -> None:
    texts = {"model": ["logistic"], "inputs": ["features,both"]}
    assert "views" not in make_plan(plain, texts).identity
    other = write_store(tmp_path / "store", with_views(clips(), ("blend",), each=2))
    swept = sweep.sweep(make_plan(viewed, texts, seeds=1), tmp_path / "x")
    assert swept.splits == {"validation": 8, "test": 8}
    with pytest.raises(UsageError, match="views"):
        sweep.sweep(make_plan(other, texts, seeds=1), tmp_path / "x")


def test_views_without_fakes_add_no_second_class(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", with_views(clips(fakes=False), ("view",)))
    with pytest.raises(DatasetError, match="40 real and 0 fake"):
        load_experiment(store, SplitConfig())
