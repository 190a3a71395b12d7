"""The fingerprint: everything that the features in a store depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SELECTION = frozenset({"faces.people", "faces.short_side", "faces.detect"})
"""Fields that select faces without changing the features of a face."""

_SAME_PIPELINES = frozenset({2, 3, 4})


@dataclass(frozen=True)
class Fingerprint:
    """Everything that changes the features, as nested JSON values.

    Stores with equal fingerprints contain interchangeable features. The machine, the runtime and
    settings that only affect speed are not part of the fingerprint.

    Attributes:
        fields: Nested mappings of strings, numbers, booleans and None.
    """

    fields: Mapping[str, Any]

    @property
    def canonical(self) -> str:
        """JSON with sorted keys and no spaces: equal fingerprints give equal text."""
        return json.dumps(self.fields, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def id(self) -> str:
        """First 12 hex digits of the SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:12]

    def differences(self, other: Fingerprint) -> list[str]:
        """Describe each field that differs in `other`, one phrase per field, sorted by name."""
        return [text for _, text in self._differences(other)]

    def incompatibilities(self, other: Fingerprint) -> list[str]:
        """Describe the differences because of which a model of one cannot be used on the other.

        Whom a video's records show, the detection size and which part of the frames is searched are
        no such difference: they select faces, but do not change the features of a face. Versions 2
        to 4 of the pipeline compute the same features, except from videos that version 2 decoded
        wrongly, or in which versions 2 and 3 missed a cut.
        """
        versions = {fields.fields.get("versions", {}).get("pipeline") for fields in (self, other)}
        ignored = _SELECTION | ({"versions.pipeline"} if versions <= _SAME_PIPELINES else set())
        return [text for name, text in self._differences(other) if name not in ignored]

    def _differences(self, other: Fingerprint) -> list[tuple[str, str]]:
        there, here = dict(_flatten(self.fields)), dict(_flatten(other.fields))
        return [
            (
                name,
                f"{name} is {there.get(name, 'not set')} there, {here.get(name, 'not set')} here",
            )
            for name in sorted(there.keys() | here.keys())
            if _text(there, name) != _text(here, name)
        ]


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Return a value as JSON, in which 1, true and 1.0 differ; "" if it is not set."""
    return json.dumps(fields[name]) if name in fields else ""


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
