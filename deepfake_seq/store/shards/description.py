"""The description of a store: its fingerprint and the settings that made it."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deepfake_seq.errors import StoreError
from deepfake_seq.store.records.fingerprint import Fingerprint
from deepfake_seq.store.shards.kinds import FEATURES, KINDS, Kind

FORMAT_VERSION = 3
"""Version of the store format that is written: the description and the shards."""

READABLE_VERSIONS = (2, 3)
"""Versions that can be read. Version 2 has no optional arrays."""

FILE_NAME = "store.json"
RANGES = "int8.json"
"""Name of the file with the ranges of an int8 CNN, in a store beside `store.json` and in a run."""

MAX_RANGES_BYTES = 8 << 20
_FORMAT = "deepseq-store"


class DamagedDescriptionError(StoreError):
    """The description of a store is missing or damaged, but its shards contain copies."""


@dataclass(frozen=True)
class StoreDescription:
    """Content of `store.json`; every shard contains a copy.

    Attributes:
        fingerprint: Fingerprint of the records.
        extract_config: Settings that made the records, as plain values.
        kind: Kind of the records, a key of `kinds.KINDS`.
        ranges: Content of the file `RANGES`, from which another machine builds the same int8 CNN;
            None if there is none. Shards contain no copy.
    """

    fingerprint: Fingerprint
    extract_config: dict[str, Any]
    kind: str = FEATURES.name
    ranges: bytes | None = field(default=None, repr=False, compare=False)

    def to_bytes(self) -> bytes:
        """Encode the description as indented JSON in ASCII."""
        values = {
            "format": _FORMAT,
            "format_version": FORMAT_VERSION,
            # Omitted for features: they were the only kind at first.
            **({} if self.kind == FEATURES.name else {"kind": self.kind}),
            "fingerprint_id": self.fingerprint.id,
            "fingerprint": dict(self.fingerprint.fields),
            "extract_config": self.extract_config,
        }
        return (json.dumps(values, indent=2) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: Path) -> StoreDescription:
        """Decode the output of `to_bytes`.

        Args:
            data: Bytes of the JSON document.
            where: Path of the file that contains it, for messages.

        Raises:
            DamagedDescriptionError: `data` is not a description.
            StoreError: The format or the kind of store is not supported.
        """
        try:
            values = json.loads(data)
            version = values["format_version"]
            fingerprint = Fingerprint(dict(values["fingerprint"]))
            kind = values.get("kind", FEATURES.name)
            description = cls(fingerprint, dict(values["extract_config"]), kind)
            is_intact = values["format"] == _FORMAT and values["fingerprint_id"] == fingerprint.id
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedDescriptionError(f"{where} is damaged: {error!r}") from error
        if version not in READABLE_VERSIONS:
            raise StoreError(
                f"{where} is in format {version}; this version of deepseq reads formats "
                f"{READABLE_VERSIONS[0]} to {FORMAT_VERSION}. Extract again, or use the version "
                "that wrote it."
            )
        if kind not in list(KINDS):
            raise StoreError(
                f"{where}: this version of deepseq reads stores of {' and '.join(KINDS)}. Use the "
                f"version that wrote it. Received: {kind!r}"
            )
        if not is_intact:
            raise DamagedDescriptionError(
                f"{where} was altered: its fingerprint does not match its fingerprint_id"
            )
        return description

    @classmethod
    def read(cls, folder: Path, wanted: Kind = FEATURES) -> StoreDescription:
        """Read the description of the store in `folder`, of any kind.

        Args:
            folder: Directory of the store.
            wanted: Kind of store named in the message if there is none.

        Raises:
            DamagedDescriptionError: There are shards, but no readable description.
            StoreError: There is no store, or its format is not supported.
        """
        path = folder / FILE_NAME
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise StoreError(f"{path} is not a regular file")
            description = cls.from_bytes(path.read_bytes(), path)
            return replace(description, ranges=read_ranges(folder))
        except FileNotFoundError as error:
            if not any(folder.glob("[!.]*.h5")):
                raise StoreError(
                    f"no {wanted.title} in {folder}: it has no {FILE_NAME}. {wanted.remedy}"
                ) from error
            problem = f"{folder} contains .h5 files but no {FILE_NAME}"
        except NotADirectoryError as error:
            raise StoreError(f"{folder} is a file, but a {wanted.title} is a directory") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except DamagedDescriptionError as error:
            problem = str(error)
        raise DamagedDescriptionError(
            f"{problem}. Restore it from the shards with `deepseq verify --repair {folder}`."
        )


def read_ranges(folder: Path) -> bytes | None:
    """Return the content of the ranges file of a store or run; None if it has none.

    Raises:
        OSError: It cannot be read.
    """
    path = folder / RANGES
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_RANGES_BYTES:
        return None
    return path.read_bytes()
