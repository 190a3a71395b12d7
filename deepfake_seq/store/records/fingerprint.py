"""What the numbers in a store depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fingerprint:
    """Everything that changes the features, as nested JSON values.

    Two stores whose fingerprints are equal hold interchangeable features. How fast they were made,
    on which machine and by which runtime is no part of it.

    Attributes:
        fields: Strings, numbers, booleans and None in nested mappings.
    """

    fields: Mapping[str, Any]

    @property
    def canonical(self) -> str:
        """JSON with sorted keys and no spaces: equal fields give equal text."""
        return json.dumps(self.fields, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def id(self) -> str:
        """The first 12 hex digits of the SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:12]

    def differences(self, other: Fingerprint) -> list[str]:
        """One readable phrase for each field in which `other` is not the same, by field name."""
        own, others = dict(_flatten(self.fields)), dict(_flatten(other.fields))
        return [
            f"{name} is {own.get(name, 'not set')} there, {others.get(name, 'not set')} here"
            for name in sorted(own.keys() | others.keys())
            if _text(own, name) != _text(others, name)
        ]


def _text(fields: Mapping[str, Any], name: str) -> str:
    """The value as JSON, which tells 1 from true and from 1.0; "" where there is none."""
    return json.dumps(fields[name]) if name in fields else ""


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
