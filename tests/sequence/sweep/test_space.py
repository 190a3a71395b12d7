from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.config import LISTS, SWEPT_MODELS, ModelConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.sweep.space import DIMENSIONS, Range, Space, apply_setting, key
from deepfake_seq.sequence.training.ensemble import ExperimentConfig

RATES = st.lists(st.floats(1e-8, 1), min_size=1, max_size=6, unique=True)
MODELS = st.lists(st.sampled_from(sorted(SWEPT_MODELS)), min_size=1, max_size=7, unique=True)


def commas(values: list[Any]) -> str:
    return ",".join(map(str, values))


class HighestTrial:
    """Replacement of an Optuna trial that picks the highest value of everything."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.names.append(name)
        return choices[-1]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        self.names.append(name)
        return high

    suggest_int = suggest_float


@given(MODELS, RATES, st.integers(1, 3))
def test_a_grid_is_the_product_of_the_lists_without_ignored_dimensions(
    models: list[str], rates: list[float], gammas: int
) -> None:
    texts = {
        "model": [commas(models)],
        "learning_rate": [commas(rates)],
        "gamma": [commas(list(range(gammas)))],
    }
    grid = Space.read(texts, "grid").grid()
    each = len(rates) * gammas
    assert len(grid) == sum(1 if model == "logistic" else each for model in models)
    assert len({key(setting) for setting in grid}) == len(grid)


@given(MODELS, RATES)
def test_the_settings_of_a_grid_are_valid_and_distinct(
    models: list[str], rates: list[float]
) -> None:
    grid = Space.read({"model": [commas(models)], "learning_rate": [commas(rates)]}, "grid").grid()
    configs = [apply_setting(setting, ExperimentConfig()) for setting in grid]
    assert len(set(configs)) == len(configs)
    for setting, config in zip(grid, configs, strict=True):
        assert config.model.title == setting["model"]
        assert config.train.learning_rate == setting.get("learning_rate", 1e-3)


@given(st.floats(1e-8, 1), st.floats(1e-8, 1))
def test_the_ends_of_a_range_are_exact(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if low == high:
        return
    space = Space.read({"learning_rate": [f"{low!r}:{high!r}"]}, "random")
    assert space.values["learning_rate"] == Range(low, high)
    assert space.suggest(HighestTrial())["learning_rate"] == high


@given(st.text(max_size=12), st.sampled_from(sorted(DIMENSIONS)))
def test_any_text_is_parsed_or_gives_a_usage_error(text: str, name: str) -> None:
    try:
        space = Space.read({name: [text]}, "random")
    except UsageError as error:
        assert "Received: " in str(error)
    else:
        values = space.suggest(HighestTrial())
        assert all(math.isfinite(value) for value in values.values() if not isinstance(value, str))


def test_without_searched_dimensions_there_is_a_default_grid() -> None:
    assert set(Space.read({}, "grid").searched) == set(LISTS)
    only = Space.read({"model": ["lstm"]}, "grid")
    assert only.values["model"] == ("lstm",) and only.searched == ["learning_rate"]


def test_only_the_given_dimensions_are_searched() -> None:
    space = Space.read({"gamma": ["0,1", "2"], "dropout": ["0.1"]}, "grid")
    assert [setting["gamma"] for setting in space.grid()] == [0, 1, 2]
    assert {setting["dropout"] for setting in space.grid()} == {0.1}
    assert space.searched == ["gamma"]


def test_each_text_of_units_is_one_value() -> None:
    space = Space.read({"units": ["64,32,16", " 8, 4", "128"]}, "grid")
    layers = [apply_setting(setting, ExperimentConfig()).model.units for setting in space.grid()]
    assert layers == [(64, 32, 16), (8, 4), (128,)]


def test_each_model_gets_its_default_inputs_unless_inputs_are_searched() -> None:
    grid = Space.read({"model": ["gru,logistic"]}, "grid").grid()
    assert [apply_setting(setting, ExperimentConfig()).model.inputs for setting in grid] == [
        "features",
        "both",
    ]
    grid = Space.read({"model": ["bigru,logistic"], "inputs": ["delta"]}, "grid").grid()
    assert [apply_setting(setting, ExperimentConfig()).model for setting in grid] == [
        ModelConfig("gru", bidirectional=True, inputs="delta"),
        ModelConfig("logistic", inputs="delta"),
    ]


def test_dimensions_that_the_sampled_model_ignores_are_not_sampled() -> None:
    texts = {"model": ["gru,logistic"], "units": ["8", "4"], "learning_rate": ["1e-4:1e-2"]}
    drawn = HighestTrial()
    Space.read(texts, "tpe").suggest(drawn)
    assert drawn.names == ["model"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"learning_rate": ["1e-4:1e-2"]}, "a grid needs a list such as a,b,c for --learning-rate"),
        ({"learning_rate": ["1e-4:1e-2,1"]}, "takes one range or a list, not both"),
        ({"learning_rate": ["1e-2:1e-4"]}, "from a lower to a higher value"),
        ({"learning_rate": ["fast"]}, "--learning-rate takes numbers"),
        ({"learning_rate": ["0,1"]}, "learning rate must be above 0"),
        ({"learning_rate": ["nan,1"]}, "learning rate must be above 0"),
        ({"dropout": ["0.5,1"]}, "dropout must be at least 0 and below 1"),
        ({"batch_size": ["16.5"]}, "--batch-size takes whole numbers"),
        ({"model": ["gru,transformer"]}, "model must be one of gru, lstm"),
        ({"model": ["gru:lstm"]}, "model must be one of gru, lstm"),
        ({"inputs": ["pixels"]}, "inputs must be one of"),
        ({"units": ["64;32"]}, "such as 64,32,16"),
        ({"units": ["1024"]}, "whole numbers from 1 to 512"),
        ({"gamma": [commas([n / 1000 for n in range(10_000)])], "dropout": ["0,0.1"]}, "at most"),
    ],
)
def test_an_invalid_grid_is_refused(texts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UsageError, match=rf"{message}.*Received: .+$"):
        Space.read(texts, "grid")
