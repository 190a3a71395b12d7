"""Checks that settings classes share."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deepfake_seq.errors import UsageError


def check(condition: bool, rule: str, received: object) -> None:
    """Raise a `UsageError` with the rule and the received value unless the condition is true."""
    if not condition:
        raise UsageError(f"{rule}. Received: {received!r}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise a `UsageError` unless the value is one of the choices."""
    check(value in choices, f"{name} must be one of {', '.join(choices)}", value)


def check_keys(kind: type[Any], values: dict[str, Any]) -> None:
    """Raise a `KeyError` unless the keys are exactly the field names of `kind`."""
    odd = set(values) ^ {field.name for field in fields(kind)}
    if odd:
        raise KeyError(f"unknown or missing: {', '.join(sorted(odd))}")
