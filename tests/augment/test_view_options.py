"""The options that request views."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from deepfake_seq import config
from deepfake_seq.commands.views import augment_options, view_options, view_settings
from deepfake_seq.errors import UsageError


def settings(bundle: Any, *arguments: str) -> config.ViewsConfig:
    @click.command()
    @bundle
    def command(**options: Any) -> config.ViewsConfig:
        return view_settings(options)

    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    views: config.ViewsConfig = result.return_value
    return views


def test_no_views_are_made_by_default() -> None:
    assert settings(view_options) == config.ViewsConfig()


def test_all_options_can_be_combined() -> None:
    views = settings(
        view_options,
        *("--augment", "fake", "--views", "3", "--self-blend", "2"),
        *("--degrade", "jpeg", "--degrade", "h264", "--degrade", "jpeg"),
    )
    assert views == config.ViewsConfig("fake", 3, 2, ("jpeg", "h264"))


def test_finetuning_augments_all_classes_by_default() -> None:
    assert settings(augment_options) == config.ViewsConfig("all")
    assert settings(augment_options, "--augment", "none") == config.ViewsConfig()
    with pytest.raises(click.NoSuchOption):
        settings(augment_options, "--views", "2")


def test_views_use_the_seed_of_the_command() -> None:
    options = {"augment": "all", "self_blend": 0, "degrade": (), "seed": 7}
    assert view_settings(options).seed == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--views", "2"], "--views needs --augment"),
        (["--degrade", "blur"], "--degrade needs --augment or --self-blend"),
        (["--augment", "all", "--views", "0"], "from 1 to 100"),
        (["--self-blend", "101"], "from 0 to 100"),
    ],
)
def test_options_without_effect_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(view_options, *arguments)


@pytest.mark.parametrize(
    ("augment", "self_blend", "message"),
    [
        ("none", 1, "fake clips alone"),
        ("fake", 1, "fake clips alone"),
        ("real", 0, "real clips alone"),
        ("real", 1, ""),
        ("all", 0, ""),
    ],
)
def test_degrading_only_one_class_prints_a_warning(
    augment: str, self_blend: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    view_settings({"augment": augment, "self_blend": self_blend, "degrade": ("blur",)})
    stderr = capsys.readouterr().err
    assert message in stderr and bool(message) == bool(stderr)
