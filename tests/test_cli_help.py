"""Help texts, usage errors and options of all commands."""

from __future__ import annotations

import re

import click
import pytest
from calling import deepseq
from click.testing import CliRunner

from deepfake_seq import config
from deepfake_seq.cli import app
from deepfake_seq.commands.options import from_options, option_of


def every_command(group: click.Group = app, prefix: str = "") -> list[tuple[str, click.Command]]:
    commands = []
    for name, command in group.commands.items():
        commands.append((f"{prefix}{name}", command))
        if isinstance(command, click.Group):
            commands += every_command(command, f"{prefix}{name} ")
    return commands


def help_of(*words: str) -> str:
    # Click leaves two of 80 columns empty.
    result = CliRunner().invoke(app, [*words, "--help"], terminal_width=78)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize(("name", "command"), every_command())
def test_every_command_and_option_has_a_help_text(name: str, command: click.Command) -> None:
    assert command.help and command.help.splitlines()[0].endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert re.fullmatch(r"[A-Z].{10,}\.", parameter.help or ""), parameter.opts
    assert all(len(line) <= 80 for line in help_of(*name.split()).splitlines())


def test_the_summaries_of_all_commands_fit_on_their_lines() -> None:
    for words in ((), ("weights",)):
        summaries = help_of(*words).partition("Commands:\n")[2].splitlines()
        assert summaries and all(line.endswith(".") for line in summaries)
        assert not any(line.endswith("...") for line in summaries)


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("extract", ["Video", "Face", "CNN", "Frame", "Augmentation", "Execution"]),
        ("report", ["Run", "People and time", "Report", "Execution"]),
        ("fit", ["Model", "Training", "Split", "Threshold", "Study"]),
        ("finetune", ["CNN", "Training", "Augmentation", "Split", "Threshold"]),
        ("sweep", ["Search", "Training", "Split"]),
        ("predict", ["Run", "People and time", "Execution"]),
    ],
)
def test_long_lists_of_options_have_headings(name: str, headings: list[str]) -> None:
    found = re.findall(r"^(.*)options:$", help_of(name), re.MULTILINE | re.IGNORECASE)
    assert [heading.strip() for heading in found] == ["", *headings]


def test_the_help_contains_ranges_and_defaults() -> None:
    text = " ".join(help_of("extract").split())
    assert "as a fraction of its size (from 0 to 2). [default: 0.3]" in text
    assert "Number of decoding processes (from 1 to 256). [default: one per core" in text
    assert "per real clip, for training only (from 0 to 100). [default: 0]" in text


@pytest.mark.parametrize(
    ("arguments", "message", "command"),
    [
        (["--nonsense"], "No such option '--nonsense'.", "deepseq"),
        (["nonsense"], "No such command 'nonsense'.", "deepseq"),
        (["fitt"], "No such command 'fitt'. Did you mean 'fit'?", "deepseq"),
        (["weights", "lst"], "No such command 'lst'. Did you mean 'list'?", "deepseq weights"),
        (["weights", "nonsense"], "No such command 'nonsense'.", "deepseq weights"),
        (["predict"], "Missing argument 'CLIP...'.", "deepseq predict"),
        (["fit", "--epochs", "x"], "Invalid value for '--epochs': 'x' is not a", "deepseq fit"),
        (["fit", "--epochs", "0"], "--epochs must be from 1 to 10000. Received: 0", "deepseq fit"),
        (["fit", "--units", "x"], "units are whole numbers", "deepseq fit"),
        *(
            (
                ["extract", ".", "--memory", size],
                f"--memory must be from 0.5 to 65536 GiB. Received: {size}",
                "deepseq extract",
            )
            for size in ("0.01", "nan", "inf")
        ),
    ],
)
def test_all_usage_errors_have_one_form(arguments: list[str], message: str, command: str) -> None:
    result = deepseq(*arguments)
    assert result.exit_code == 2 and not result.stdout
    line, hint = result.stderr.splitlines()
    assert line.startswith(f"deepseq: {message}")
    assert hint == f"Try '{command} --help'."


def test_a_group_without_arguments_prints_its_help() -> None:
    for words in ((), ("weights",)):
        result = deepseq(*words)
        assert "Commands:" in result.output and "deepseq: " not in result.output


def test_options_become_settings() -> None:
    @click.command()
    @option_of(config.LimitsConfig, "memory_bytes")
    @option_of(config.LimitsConfig, "seconds", default=9.0)
    @option_of(config.TrainConfig, "balance")
    @option_of(config.TrainConfig, "members")
    @option_of(config.ModelConfig, "units")
    def command(**options: object) -> tuple[object, ...]:
        options["frames"] = 3  # an option of another class than LimitsConfig
        kinds = (config.LimitsConfig, config.TrainConfig, config.ModelConfig)
        return tuple(from_options(kind, options) for kind in kinds)

    words = ["--memory", "1.5", "--balance", "weights", "--balance", "alpha", "--units", "8,4"]
    assert command.main(words, standalone_mode=False) == (
        config.LimitsConfig(seconds=9.0, memory_bytes=3 << 29),
        config.TrainConfig(balance=("weights", "alpha")),
        config.ModelConfig(units=(8, 4)),
    )
