"""Command-line options: from the fields of settings classes, and those that commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from deepfake_seq import config
from deepfake_seq.config.setting import SettingSpec, option_name, setting_of
from deepfake_seq.errors import UsageError

PATH = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

Decorator = Callable[[Any], Any]
_Settings = TypeVar("_Settings")


class _PicturePath(click.Path):
    """A path of a picture to write, whose suffix names a supported format."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; fail if its suffix is not one of `PICTURE_SUFFIXES`."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            self.fail(
                f"the name must end with {', '.join(PICTURE_SUFFIXES)}. Received: {path}",
                param,
                ctx,
            )
        return path


PICTURE = _PicturePath()


class HeadedOption(click.Option):
    """An option that `--help` lists under a heading.

    Attributes:
        heading: The heading; "" for the general options, which come first.
    """

    def __init__(self, *arguments: Any, heading: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return the notes after the help text, without parentheses around a textual default."""
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


class HeadedCommand(click.Command):
    """A command whose `--help` groups the options by their headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the general options, then those of each heading in order of appearance."""
        groups: dict[str, list[tuple[str, str]]] = {"": []}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "heading", ""), []).append(row)
        for heading, rows in groups.items():
            with formatter.section(f"{heading} options" if heading else "Options"):
                formatter.write_dl(rows)


option = partial(click.option, cls=HeadedOption)
command = partial(click.command, cls=HeadedCommand)


def option_of(kind: type[Any], name: str, heading: str = "", **changes: Any) -> Decorator:
    """Return the decorator that adds the option of a settings field to a command.

    The option's value is the parsed and checked value of the field; None keeps the default. A flag
    that is on by default also has the form `--no-NAME`.

    Args:
        kind: Settings class.
        name: Name of the field.
        heading: Heading of the option in `--help`.
        **changes: Attributes of `click.option` that differ for this command; the range is added to
            the help text.
    """
    (declared,) = (field for field in fields(kind) if field.name == name)
    setting = setting_of(declared)
    if setting is None or not setting.has_option:
        raise TypeError(f"{kind.__name__}.{name} has no option")
    setting = replace(setting, help=changes.pop("help", setting.help))
    default = setting.write(declared.default) if setting.write else declared.default
    choices, is_flag = setting.option_choices or setting.choices, type(default) is bool
    attributes: dict[str, Any] = {
        "help": setting.help_text,
        "heading": heading,
        "callback": partial(_read, setting),
        "metavar": setting.metavar,
        "default": None if setting.auto is not None else default,
        "show_default": setting.default_text or (default not in (None, ()) and not is_flag),
    }
    if is_flag:
        attributes["is_flag"] = True
    elif choices:
        attributes["type"] = click.Choice(choices)
        attributes["multiple"] = isinstance(default, tuple)
    else:
        value_type = setting.kind or type(default)
        attributes["type"] = EXISTING if value_type is Path else value_type
    name = option_name(declared)
    if is_flag and default:
        name = f"{name}/--no-{name.removeprefix('--')}"
    return option(name, **{**attributes, **changes})


def options_of(kind: type[Any], *names: str, heading: str = "") -> Decorator:
    """Return the decorator that adds the options of several fields of a settings class."""
    return together(*(option_of(kind, name, heading) for name in names))


def from_options(kind: type[_Settings], options: dict[str, Any], **changes: Any) -> _Settings:
    """Return a settings object with the values of a command's options.

    Args:
        kind: Settings class. Fields without an option, or whose option is None, keep their default.
        options: Values by parameter name.
        **changes: Values of fields that the options do not determine.

    Raises:
        UsageError: A value is out of range, or values contradict each other.
    """
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        setting = setting_of(field)
        if setting and setting.has_option:
            value = options.get(_parameter(option_name(field)))
            values.update({} if value is None else {field.name: value})
    return kind(**{**values, **changes})


def as_options(settings: Any) -> dict[str, Any]:
    """Return the option values that give a settings object, by parameter name."""
    values = {}
    for field in fields(settings):
        setting = setting_of(field)
        if setting and setting.has_option:
            value = getattr(settings, field.name)
            values[_parameter(option_name(field))] = (
                setting.write(value) if setting.write else value
            )
    return values


def absolute(path: Path | None) -> str | None:
    """Return the absolute path of an option as text; None if it was not given."""
    return str(path.absolute()) if path else None


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator for several; `--help` lists their options in this order."""

    def decorate(decorated: Any) -> Any:
        for decorator in reversed(decorators):
            decorated = decorator(decorated)
        return decorated

    return decorate


def _parameter(name: str) -> str:
    """Return the name of the parameter that receives an option's value."""
    return name.removeprefix("--").replace("-", "_")


def _read(setting: SettingSpec, _: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Convert the value of an option to the value of its field, and check it."""
    if value is None:
        return None
    name = parameter.opts[0]
    if setting.auto is not None and value == setting.auto:
        raise UsageError(f"{name} must be {setting.range_text}. Received: {value}")
    if isinstance(value, tuple):
        value = tuple(dict.fromkeys(value))
    if setting.read:
        setting.check_range(name, value)
        return setting.read(value)
    for item in value if isinstance(value, tuple) else (value,):
        setting.check(name, item)
    return value


def features_option(purpose: str) -> Decorator:
    """Return the decorator that adds --features, the feature store that a command reads."""
    text = f"Feature store to {purpose}."
    return option("--features", type=PATH, default="features", show_default=True, help=text)


json_option = option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON document."
)

_EXECUTION = "Execution"
limits_options = options_of(config.LimitsConfig, "seconds", "memory_bytes", heading=_EXECUTION)
execution_options = together(
    options_of(config.ExecutionConfig, "runtime", "workers", heading=_EXECUTION), limits_options
)
sampling_options = options_of(config.SamplingConfig, "frames", "strategy", heading="Frame")
detection_options = options_of(
    config.FaceConfig,
    *("detector", "detector_weights", "detect", "short_side", "margin"),
    heading="Face",
)
face_options = together(detection_options, option_of(config.FaceConfig, "people", "Face"))


def execution_settings(options: dict[str, Any]) -> config.ExecutionConfig:
    """Return the settings of `execution_options` or `limits_options`."""
    limits = from_options(config.LimitsConfig, options)
    return from_options(config.ExecutionConfig, options, limits=limits)
