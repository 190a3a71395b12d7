"""The settings that a sweep searches: read from lists and ranges, combined or sampled."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepfake_seq.config import (
    LISTS,
    MAX_SETTINGS,
    RANGES,
    RECURRENT,
    SWEPT_MODELS,
    ModelConfig,
    TrainConfig,
    default_inputs,
    read_units,
    write_units,
)
from deepfake_seq.config.checks import check_choice
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.training.ensemble import ExperimentConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = str | int | float
Setting = dict[str, Value]
"""A value for each dimension that affects the model."""


@dataclass(frozen=True)
class Range:
    """All values from `low` to `high`, both included."""

    low: int | float
    high: int | float

    def __str__(self) -> str:
        return f"{self.low}:{self.high}"


@dataclass(frozen=True)
class Dimension:
    """A setting that can be searched.

    Attributes:
        read: Converts text to a value; raises ValueError or UsageError.
        default: The value if it is not searched; empty if it depends on the model.
        ranged: Whether a range is allowed.
        log: Whether a range is sampled on a logarithmic scale.
        commas: Whether commas separate values; False if a value contains commas.
    """

    read: Callable[[str], Value]
    default: tuple[Value, ...]
    ranged: bool = False
    log: bool = False
    commas: bool = True


Values = tuple[Value, ...] | Range

_MODEL, _TRAIN = ModelConfig(), TrainConfig()


def _units(text: str) -> str:
    return write_units(read_units(text))


DIMENSIONS = {
    "model": Dimension(str, (_MODEL.name,)),
    "units": Dimension(_units, (write_units(_MODEL.units),), commas=False),
    "inputs": Dimension(str, ()),
    "dropout": Dimension(float, (_MODEL.dropout,), ranged=True),
    "learning_rate": Dimension(float, (_TRAIN.learning_rate,), ranged=True, log=True),
    "batch_size": Dimension(int, (_TRAIN.batch_size,), ranged=True, log=True),
    "gamma": Dimension(float, (_TRAIN.gamma,), ranged=True),
}
"""Searchable settings by name, in the order in which a grid varies them: the last one fastest."""


@dataclass(frozen=True)
class Space:
    """The settings of a sweep.

    Attributes:
        values: List or range of values of each dimension.
    """

    values: Mapping[str, Values]

    @classmethod
    def read(cls, texts: Mapping[str, Sequence[str]], strategy: str) -> Space:
        """Parse lists `a,b,c` and ranges `low:high` of values.

        A dimension that is not given keeps its default. If no given dimension has several values,
        the dimensions that are not given get the lists or ranges of `config`.

        Args:
            texts: Texts of each dimension; the values of several texts are combined.
            strategy: One of `config.STRATEGIES`.

        Raises:
            UsageError: A text cannot be parsed, a value is out of range, or the values do not form
                a grid.
        """
        given = {name: _values(name, items) for name, items in texts.items() if items}
        if not any(map(_several, given.values())):
            common = LISTS if strategy == "grid" else RANGES
            given = {name: _values(name, [text]) for name, text in common.items()} | given
        space = cls({name: given.get(name, row.default) for name, row in DIMENSIONS.items()})
        if strategy == "grid":
            space.grid()
        return space

    @property
    def searched(self) -> list[str]:
        """The dimensions with several values."""
        return [name for name, values in self.values.items() if _several(values)]

    def grid(self) -> list[Setting]:
        """Return every distinct setting; dimensions that a model ignores add none.

        Raises:
            UsageError: A dimension is a range, or there are too many combinations.
        """
        lists = {}
        for name, values in self.values.items():
            if isinstance(values, Range):
                raise UsageError(
                    f"a grid needs a list such as a,b,c for {_option(name)}: a range needs "
                    f"--strategy random or tpe. Received: {values}"
                )
            lists[name] = values or ("",)
        size = math.prod(map(len, lists.values()))
        if size > MAX_SETTINGS:
            raise UsageError(
                f"a grid has at most {MAX_SETTINGS} settings: list fewer values, or sample some "
                f"with --strategy random. Received: {size}"
            )
        rows = (dict(zip(lists, row, strict=True)) for row in itertools.product(*lists.values()))
        settings = (self._setting(row.__getitem__) for row in rows)
        return list({key(setting): setting for setting in settings}.values())

    def suggest(self, trial: Trial) -> Setting:
        """Return the setting that an Optuna trial samples."""

        def choose(name: str) -> Any:
            values, dimension = self.values[name], DIMENSIONS[name]
            if isinstance(values, tuple):
                return trial.suggest_categorical(name, values) if values[1:] else values[0]
            if dimension.read is int:
                return trial.suggest_int(name, int(values.low), int(values.high), log=dimension.log)
            return trial.suggest_float(name, values.low, values.high, log=dimension.log)

        return self._setting(choose)

    def describe(self) -> dict[str, str]:
        """Return the values of each dimension as text."""
        return {
            name: str(values)
            if isinstance(values, Range)
            else ("," if DIMENSIONS[name].commas else " or ").join(map(str, values))
            or "as the model needs"
            for name, values in self.values.items()
        }

    def _setting(self, choose: Callable[[str], Value]) -> Setting:
        model = str(choose("model"))
        rest = [name for name in DIMENSIONS if name != "model" and _matters(name, model)]
        return {"model": model} | {name: choose(name) for name in rest if self.values[name] != ()}


def key(setting: Setting) -> str:
    """Return a text that is equal for equal settings."""
    return json.dumps(setting, sort_keys=True)


def apply_setting(setting: Setting, base: ExperimentConfig) -> ExperimentConfig:
    """Return `base` with the values of a setting.

    Raises:
        UsageError: A value is out of range.
    """
    values: dict[str, Any] = dict(setting)
    title = values.pop("model")
    check_choice("model", title, tuple(SWEPT_MODELS))
    name, bidirectional = SWEPT_MODELS[title]
    units = read_units(values.pop("units", write_units(_MODEL.units)))
    inputs = values.pop("inputs", default_inputs(name))
    dropout = values.pop("dropout", _MODEL.dropout)
    model = ModelConfig(name, bidirectional, dropout, inputs=inputs, units=units)
    return replace(base, model=model, train=replace(base.train, **values))


def _matters(name: str, model: str) -> bool:
    """Return whether a dimension affects a model."""
    family, _ = SWEPT_MODELS[model]
    if name == "units":
        return family in RECURRENT
    return family != "logistic" or name in ("model", "inputs")


def _several(values: Values) -> bool:
    return isinstance(values, Range) or len(values) > 1


def _values(name: str, texts: Sequence[str]) -> Values:
    """Parse the texts of one dimension into a range, or into a list without duplicates."""
    dimension = DIMENSIONS[name]
    items = [item for text in texts for item in (text.split(",") if dimension.commas else [text])]
    if not dimension.ranged or not any(":" in item for item in items):
        return tuple(dict.fromkeys(_value(name, item) for item in items))
    if len(items) > 1:
        raise UsageError(
            f"{_option(name)} takes one range or a list, not both. Received: {','.join(items)}"
        )
    low, high = (_value(name, end) for end in items[0].split(":", 1))
    if not low < high:
        raise UsageError(
            f"{_option(name)} needs a range from a lower to a higher value. Received: {low}:{high}"
        )
    return Range(low, high)


def _value(name: str, text: str) -> Any:
    dimension = DIMENSIONS[name]
    try:
        value = dimension.read(text.strip())
    except ValueError as error:
        form = "a list a,b,c or a range low:high" if dimension.ranged else "a list a,b,c"
        kind = "whole numbers" if dimension.read is int else "numbers"
        raise UsageError(f"{_option(name)} takes {kind}: {form}. Received: {text!r}") from error
    # Refuses values that are out of range.
    apply_setting({"model": _MODEL.name, name: value}, ExperimentConfig())
    return value


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
