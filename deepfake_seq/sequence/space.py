"""Which settings a sweep searches: read from lists and ranges, gone through or drawn from."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deepfake_seq.config import (
    INPUTS,
    LISTS,
    MOST_SETTINGS,
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
from deepfake_seq.sequence.learning import Recipe

Value = str | int | float
Setting = dict[str, Value]
"""A value for each dimension that means something to its model."""


@dataclass(frozen=True)
class Range:
    """All values from `low` to `high`, both of them included."""

    low: int | float
    high: int | float

    def __str__(self) -> str:
        return f"{self.low}:{self.high}"


@dataclass(frozen=True)
class Dimension:
    """One setting that can be searched.

    Attributes:
        read: From what people write to a value; raises ValueError or UsageError.
        check: Raises UsageError where the value is out of range.
        usual: What it is where nobody searches it; nothing where that depends on the model.
        ranged: Whether it can be a range.
        log: Whether equal ratios count as equal steps.
        commas: Whether commas stand between values, and not within one.
    """

    read: Callable[[str], Value]
    check: Callable[[Any], object]
    usual: tuple[Value, ...]
    ranged: bool = False
    log: bool = False
    commas: bool = True


Values = tuple[Value, ...] | Range

_MODEL, _TRAIN = ModelConfig(), TrainConfig()


def _units(text: str) -> str:
    return write_units(read_units(text))


DIMENSIONS = {
    "model": Dimension(
        str, lambda own: check_choice("model", own, tuple(SWEPT_MODELS)), (_MODEL.name,)
    ),
    "units": Dimension(
        _units,
        lambda own: ModelConfig(units=read_units(own)),
        (write_units(_MODEL.units),),
        commas=False,
    ),
    "inputs": Dimension(str, lambda own: check_choice("inputs", own, INPUTS), ()),
    "dropout": Dimension(
        float, lambda own: ModelConfig(dropout=own), (_MODEL.dropout,), ranged=True
    ),
    "learning_rate": Dimension(
        float,
        lambda own: TrainConfig(learning_rate=own),
        (_TRAIN.learning_rate,),
        ranged=True,
        log=True,
    ),
    "batch_size": Dimension(
        int, lambda own: TrainConfig(batch_size=own), (_TRAIN.batch_size,), ranged=True, log=True
    ),
    "gamma": Dimension(float, lambda own: TrainConfig(gamma=own), (_TRAIN.gamma,), ranged=True),
}
"""In the order in which a grid goes through them, the last one fastest."""


@dataclass(frozen=True)
class Space:
    """The settings of a sweep.

    Attributes:
        values: The values of every dimension.
    """

    values: Mapping[str, Values]

    @classmethod
    def read(cls, texts: Mapping[str, Sequence[str]], strategy: str) -> Space:
        """What people wrote for each dimension: lists `a,b,c`, or ranges `low:high`.

        A dimension that is not named keeps its usual value. Where nothing has several values, those
        that are not named get the lists or ranges of `config`.

        Args:
            texts: By dimension; several texts add up.
            strategy: One of `config.STRATEGIES`.

        Raises:
            UsageError: They cannot be read, are out of range, or are no grid.
        """
        named = {name: _values(name, own) for name, own in texts.items() if own}
        if not any(map(_several, named.values())):
            common = LISTS if strategy == "grid" else RANGES
            named = {name: _values(name, [text]) for name, text in common.items()} | named
        space = cls({name: named.get(name, own.usual) for name, own in DIMENSIONS.items()})
        if strategy == "grid":
            space.require_lists()
        return space

    @property
    def searched(self) -> list[str]:
        """The dimensions with several values."""
        return [name for name, values in self.values.items() if _several(values)]

    def require_lists(self) -> None:
        """Refuse what is no grid, or too large a one.

        Raises:
            UsageError: A dimension is a range, or there are too many combinations.
        """
        size = 1
        for name, values in self.values.items():
            if isinstance(values, Range):
                raise UsageError(
                    f"a grid needs a list such as a,b,c for {_option(name)}: a range is for "
                    f"--strategy random or tpe. Received: {values}"
                )
            size *= max(len(values), 1)
        if size > MOST_SETTINGS:
            raise UsageError(
                f"a grid has at most {MOST_SETTINGS} settings: list fewer values, or draw some "
                f"with --strategy random. Received: {size}"
            )

    def grid(self) -> list[Setting]:
        """Every setting once; combinations that differ only in what a model ignores are one."""
        self.require_lists()
        columns = {name: values or ("",) for name, values in self.values.items()}
        rows = (
            dict(zip(columns, row, strict=True))
            for row in itertools.product(*columns.values())  # type: ignore[arg-type]
        )
        settings = (self._setting(row.__getitem__) for row in rows)
        return list({key(setting): setting for setting in settings}.values())

    def suggest(self, trial: Any) -> Setting:
        """The setting that an Optuna trial stands for."""

        def choose(name: str) -> Value:
            values, own = self.values[name], DIMENSIONS[name]
            if isinstance(values, Range):
                draw = trial.suggest_int if own.read is int else trial.suggest_float
                drawn: Value = draw(name, values.low, values.high, log=own.log)
                return drawn
            if len(values) == 1:
                return values[0]
            chosen: Value = trial.suggest_categorical(name, values)
            return chosen

        return self._setting(choose)

    def describe(self) -> dict[str, str]:
        """The values of each dimension in words."""
        return {name: _write(name, values) for name, values in self.values.items()}

    def _setting(self, choose: Callable[[str], Value]) -> Setting:
        model = str(choose("model"))
        rest = [name for name in DIMENSIONS if name != "model" and _matters(name, model)]
        return {"model": model} | {name: choose(name) for name in rest if self.values[name] != ()}


def key(setting: Setting) -> str:
    """The same text for the same setting."""
    return json.dumps(setting, sort_keys=True)


def recipe(setting: Setting, base: Recipe) -> Recipe:
    """`base` with a setting in place of its own."""
    values: dict[str, Any] = dict(setting)
    name, bidirectional = SWEPT_MODELS[values.pop("model")]
    layers = read_units(values.pop("units", write_units(_MODEL.units)))
    inputs = values.pop("inputs", default_inputs(name))
    dropout = values.pop("dropout", _MODEL.dropout)
    model = ModelConfig(name, bidirectional, dropout, inputs, units=layers)
    return replace(base, model=model, train=replace(base.train, **values))


def _matters(name: str, model: str) -> bool:
    """Whether a dimension changes anything for a model."""
    own, _ = SWEPT_MODELS[model]
    if name == "units":
        return own in RECURRENT
    return own != "logistic" or name in ("model", "inputs")


def _several(values: Values) -> bool:
    return isinstance(values, Range) or len(values) > 1


def _values(name: str, texts: Sequence[str]) -> Values:
    """What the texts for one dimension stand for, in the order in which it was written."""
    own = DIMENSIONS[name]
    parts = [part for text in texts for part in (text.split(",") if own.commas else [text])]
    if own.ranged and any(":" in part for part in parts):
        if len(parts) > 1:
            raise UsageError(
                f"{_option(name)} takes one range or a list, not both. Received: {','.join(parts)}"
            )
        low, _, high = parts[0].partition(":")
        span = Range(*(_number(name, end) for end in (low, high)))
        if not span.low < span.high:
            raise UsageError(
                f"{_option(name)} needs a range from a lower to a higher value. Received: {span}"
            )
        return span
    return tuple(dict.fromkeys(_value(name, part) for part in parts))


def _number(name: str, text: str) -> int | float:
    value = _value(name, text)
    assert isinstance(value, int | float)
    return value


def _value(name: str, text: str) -> Value:
    own = DIMENSIONS[name]
    try:
        value = own.read(text.strip())
    except ValueError as error:
        form = "a list a,b,c or a range low:high" if own.ranged else "a list a,b,c"
        kind = "whole numbers" if own.read is int else "numbers"
        raise UsageError(f"{_option(name)} takes {kind}: {form}. Received: {text!r}") from error
    own.check(value)
    return value


def _write(name: str, values: Values) -> str:
    if isinstance(values, Range):
        return str(values)
    between = "," if DIMENSIONS[name].commas else " or "
    return between.join(map(str, values)) or "as the model needs"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
