"""The commands, called as a user calls them."""

from __future__ import annotations

from click.testing import CliRunner, Result

from deepfake_seq.cli import app


def deepseq(*arguments: object) -> Result:
    """What a command printed and its exit code; what is no exit is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
