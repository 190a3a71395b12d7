"""Call the commands as a user does."""

from __future__ import annotations

from click.testing import CliRunner, Result

from deepfake_seq.cli import app


def deepseq(*arguments: object) -> Result:
    """Run a command and return its result; raise any exception except an exit."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
