"""Default, range, choices and help text of a settings field, written once.

`setting` replaces `dataclasses.field`. `check_settings` validates an object against its fields, and
`deepfake_seq.commands.options` generates the command-line options from the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from deepfake_seq.config.checks import check, check_choice

_KEY = "setting"
_Default = TypeVar("_Default")


@dataclass(frozen=True, kw_only=True)
class SettingSpec:
    """The permitted values of a field, and its command-line option.

    Attributes:
        help: Help text of the option, without the range.
        choices: Permitted values; empty if any value is permitted. Every item of a tuple field has
            to be one of them.
        low: Smallest permitted number; this and the other bounds are in the unit of the option.
        above: Number that the value must exceed.
        high: Largest permitted number.
        below: Number that the value must stay below.
        unit: Unit of the number, in the plural.
        auto: Value that selects the default at run time. It is outside the range, and the option
            does not accept it: leave the option out instead.
        has_option: Whether the field has a command-line option.
        option: Name of the option; derived from the field's name if empty.
        metavar: Placeholder of the option's value in the help.
        default_text: Text that the help prints as the default, if not the default itself.
        option_choices: Choices of the option, if not `choices`.
        kind: Type of the option's value; by default, the type of `default`. `Path`: existing file.
        read: Converts the option's value to the field's value.
        write: Inverse of `read`.
    """

    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    above: float | None = None
    high: float | None = None
    below: float | None = None
    unit: str = ""
    auto: Any = None
    has_option: bool = True
    option: str = ""
    metavar: str | None = None
    default_text: str = ""
    option_choices: tuple[str, ...] = ()
    kind: type[Any] | None = None
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None

    @property
    def range_text(self) -> str:
        """Permitted range, such as `from 1 to 256` or `above 0 and at most 1`; "" if any."""
        low, above, high, below = self.low, self.above, self.high, self.below
        if low is not None and high is not None:
            words = f"from {low} to {high}"
        elif low is not None and below is None:
            return f"{low} {self.unit} or more".replace("  ", " ")
        else:
            ends = (("at least", low), ("above", above), ("at most", high), ("below", below))
            words = " and ".join(f"{word} {end}" for word, end in ends if end is not None)
        return f"{words} {self.unit}".strip() if words else ""

    @property
    def help_text(self) -> str:
        """Help text of the option, with the range before the final period."""
        return f"{self.help[:-1]} ({self.range_text})." if self.range_text else self.help

    def check(self, name: str, value: Any) -> None:
        """Raise a `UsageError` unless the value is permitted.

        Args:
            name: Name of the setting in the message.
            value: Value of the field; one item if the field is a tuple.
        """
        if self.choices:
            check_choice(name, value, self.choices)
        if self.range_text and (self.auto is None or value != self.auto):
            otherwise = "" if self.auto is None else f", or {self.auto} for the default"
            self.check_range(name, self.write(value) if self.write else value, otherwise)

    def check_range(self, name: str, number: Any, otherwise: str = "") -> None:
        """Raise a `UsageError` unless a number is in the range.

        Args:
            name: Name of the setting in the message.
            number: The number, in the unit of the option.
            otherwise: Words on other permitted values, for the message.
        """
        permitted = (
            (self.low is None or number >= self.low)
            and (self.above is None or number > self.above)
            and (self.high is None or number <= self.high)
            and (self.below is None or number < self.below)
        )
        check(permitted, f"{name} must be {self.range_text}{otherwise}", number)


def setting(default: _Default, help: str, **description: Any) -> _Default:
    """Declare a dataclass field with its default and description.

    Args:
        default: Default value.
        help: Help text of the option: whole sentences.
        **description: Other attributes of `SettingSpec`.
    """
    described = SettingSpec(help=help, **description)
    return field(default=default, metadata={_KEY: described})


def setting_of(declared: Field[Any]) -> SettingSpec | None:
    """Return the description of a dataclass field; None if `setting` did not declare it."""
    return declared.metadata.get(_KEY)


def option_name(declared: Field[Any]) -> str:
    """Return the name of a field's command-line option, such as `--short-side`."""
    described = setting_of(declared)
    return (described and described.option) or f"--{declared.name.replace('_', '-')}"


def check_settings(settings: Any) -> None:
    """Raise a `UsageError` if a field of a settings object is out of its range or choices.

    Flags must be booleans, not merely truthy values.
    """
    for declared in fields(settings):
        described = setting_of(declared)
        if described is None:
            continue
        name = option_name(declared).removeprefix("--").replace("-", " ")
        value = getattr(settings, declared.name)
        if type(declared.default) is bool:
            check(type(value) is bool, f"{name} must be true or false", value)
        if value is None and declared.default is None:
            continue
        for item in value if isinstance(declared.default, tuple) else (value,):
            described.check(name, item)
