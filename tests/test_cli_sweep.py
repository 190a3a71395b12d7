"""Tests of the command `deepseq sweep`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from calling import deepseq
from records import make_store

from deepfake_seq import console
from deepfake_seq.cli import app
from deepfake_seq.commands.sweep import fit_arguments
from deepfake_seq.config import ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureStore

TINY = ["--units", "3,2", "--epochs", 2]
QUICK = ["--model", "logistic,gru", "--learning-rate", "1e-3,1e-2", "--members", 2, *TINY]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "features"
    make_store(path, shift=0.2)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sweep_ends_with_a_table_and_the_command_that_trains_the_best(
    features: Path, here: Path
) -> None:
    result = deepseq("sweep", "--features", features, "--out", "x", *QUICK, "--seeds", 2)
    assert result.exit_code == 0, result.stderr
    first, header, *lines = result.stdout.splitlines()
    assert first.startswith("3 settings, 2 seeds, 2 networks each; ranked on ")
    assert first.endswith(" test clips not used")
    assert header.split() == ["model", "learning", "rate", "validation", "AUC", "Brier", "trial"]
    assert [line.split()[0] for line in lines[:3]] == ["1", "2", "3"] and "±" in lines[0]
    assert lines[-3] == "sweep: x" and lines[-1].startswith("  deepseq fit --features ")
    assert all(line.startswith("deepseq: NOTE: ") for line in result.stderr.splitlines())
    again = deepseq("sweep", "--features", features, "--out", "x", *QUICK, "--seeds", 2)
    assert again.stdout == result.stdout
    assert "x is complete: 3 trials" in again.stderr


@pytest.mark.parametrize(
    "search",
    [
        ["--model", "gru,logistic", "--inputs", "both", "--units", "3"],
        pytest.param(
            ["--model", "bilstm", "--units", "3,2", "--units", "4", "--dropout", 0.1,
             "--members", 2],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--strategy", "random", "--trials", 2, "--learning-rate", "1e-4:1e-2",
             "--gamma", "0:3", "--batch-size", "8:32", "--balance", "none",
             "--validation", 0.3, "--test", 0.1, "--members", 1, "--units", "3"],
            marks=pytest.mark.slow,
        ),
        ["--strategy", "tpe", "--trials", 2, "--dropout", "0:0.5", "--balance", "weights",
         "--members", 1, "--min-epochs", 1, "--patience", 1,
         "--split", "group", "--seed", 3, "--units", "3"],
    ],
)  # fmt: skip
def test_the_printed_command_reproduces_the_best_value(
    search: list[Any], features: Path, here: Path
) -> None:
    options = ["--features", features, "--epochs", 2, *search]
    swept = deepseq("sweep", *options, "--out", "x", "--seeds", 1, "--json")
    assert swept.exit_code == 0, swept.stderr
    report = json.loads(swept.stdout)
    best = report["settings"][0]
    assert best["auc"] == max(setting["auc"] for setting in report["settings"])
    _, *words = shlex.split(report["fit"])
    fitted = deepseq(*words, "--out", "run", "--json")
    assert fitted.exit_code == 0, fitted.stderr
    assert json.loads(fitted.stdout)["validation"]["auc"] == best["auc"]


def test_the_command_contains_all_values_that_differ_from_the_defaults() -> None:
    other = ExperimentConfig(
        ModelConfig("lstm", True, 0.1, "delta", units=(6, 3), wide=False, evidence=("a", "b")),
        TrainConfig(
            *(7, 8, 0.1 + 0.2, 5, 1.5, ("alpha", "batches"), 3, 9),
            input_dropout=0.2,
            input_noise=0.3,
            wide_l2=0.4,
            block_dropout=0.5,
            min_epochs=6,
            pseudo_fakes=True,
        ),
        SplitConfig("group", 0.25, 0.15, True, 9),
    )
    for experiment in (
        ExperimentConfig(),
        other,
        ExperimentConfig(ModelConfig("logistic", inputs="features")),
    ):
        _, name, *words = fit_arguments(Path("my features"), experiment)
        context = app.commands[name].make_context(name, list(words))
        from deepfake_seq.commands.fit import _experiments

        assert _experiments(**context.params) == [experiment]


def test_the_store_is_read_once_for_all_trainings(
    features: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    whole = FeatureStore.records

    def records(store: FeatureStore, *arguments: Any) -> Any:
        reads.append(len(store))
        return whole(store, *arguments)

    monkeypatch.setattr(FeatureStore, "records", records)
    monkeypatch.setattr(FeatureStore, "__getitem__", None)
    result = deepseq("sweep", "--features", features, *QUICK, "--seeds", 2, "--json")
    assert result.exit_code == 0, result.stderr
    assert reads == [40] and json.loads(result.stdout)["trials"] == 3


@pytest.mark.slow
def test_without_a_folder_the_same_command_resumes_the_sweep(features: Path, here: Path) -> None:
    search = ["sweep", "--features", features, "--model", "logistic", "--inputs", "both,delta"]
    folders = [json.loads(deepseq(*search, "--json").stdout)["sweep"] for _ in range(2)]
    other = json.loads(deepseq(*search, "--seeds", 2, "--json").stdout)["sweep"]
    assert folders[0] == folders[1] != other
    assert folders[0].startswith("sweeps/features-")


def test_after_an_interruption_the_same_command_resumes_the_sweep(
    features: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ["sweep", "--features", features, "--out", "x", *QUICK, "--seeds", 1]
    progress, steps = console.progress, []

    @contextmanager
    def interrupted(*arguments: Any) -> Iterator[Callable[[str], None]]:
        def step(note: str) -> None:
            steps.append(note)
            if len(steps) == 3:
                raise KeyboardInterrupt

        with progress(*arguments):
            yield step

    monkeypatch.setattr(console, "progress", interrupted)
    stopped = deepseq(*search)
    assert stopped.exit_code == 1 and stopped.stdout == ""
    assert "deepseq: stopped; finished trainings are in x" in stopped.stderr
    result = deepseq(*search)
    assert result.exit_code == 0 and len(steps) == 4
    assert "resuming x: 2 of 3 trials are finished" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-rate", "1e-4:1e-2"], "a range needs --strategy random or tpe"),
        (["--trials", 5], "a grid tries every setting"),
        (["--strategy", "random", "--trials", 0], "trials must be from 1"),
        (["--seeds", 0], "seeds must be from 1 to 100. Received: 0"),
        (["--seed", 2**32 - 1, "--seeds", 2], "seed must be from 0 to 4294967295"),
        (["--model", "gru,vit"], "model must be one of"),
        (["--balance", "none", "--balance", "alpha"], "cannot be combined with other values"),
    ],
)
def test_an_invalid_search_is_wrong_usage(
    options: list[Any], message: str, features: Path, here: Path
) -> None:
    result = deepseq("sweep", "--features", features, "--out", "x", *options)
    assert result.exit_code == 2 and message in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) == 2 and not Path("x").exists()


def test_without_optuna_the_message_names_the_extra(
    features: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = deepseq("sweep", "--features", features, "--out", "x")
    assert result.exit_code == 1 and not Path("x").exists()
    assert "pip install 'deepfake-seq[sweep]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
