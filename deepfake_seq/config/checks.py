"""How settings check themselves."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deepfake_seq.errors import UsageError


def check(condition: bool, rule: str, received: object) -> None:
    """Raise a `UsageError` with the rule and what was received, unless the condition holds."""
    if not condition:
        raise UsageError(f"{rule}. Received: {received!r}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Hold a setting to its choices."""
    check(value in choices, f"{name} must be one of {', '.join(choices)}", value)


def check_keys(kind: type[Any], values: dict[str, Any]) -> None:
    """Raise a `KeyError` unless the keys are the fields of `kind`, all of them and no other."""
    odd = set(values) ^ {own.name for own in fields(kind)}
    if odd:
        raise KeyError(f"unknown or missing: {', '.join(sorted(odd))}")
