"""What a store says of itself: its fingerprint and the settings that it was made with."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfake_seq.errors import StoreError
from deepfake_seq.store.records.fingerprint import Fingerprint
from deepfake_seq.store.shards.kinds import FEATURES, KINDS, Kind

FORMAT_VERSION = 2
"""Of the whole format: the description and the shards."""

FILE_NAME = "store.json"
_FORMAT = "deepseq-store"


class DamagedDescriptionError(StoreError):
    """A store's description is lost, but can be restored from its shards."""


@dataclass(frozen=True)
class StoreDescription:
    """The content of `store.json`, of which every shard holds a copy.

    Attributes:
        fingerprint: What the records depend on.
        extract_config: The settings that the records were made with, as plain values.
        kind: What they are: a name in `kinds.KINDS`.
    """

    fingerprint: Fingerprint
    extract_config: dict[str, Any]
    kind: str = FEATURES.name

    def to_bytes(self) -> bytes:
        """As indented JSON in ASCII."""
        values = {
            "format": _FORMAT,
            "format_version": FORMAT_VERSION,
            # Features came first, and go without saying.
            **({} if self.kind == FEATURES.name else {"kind": self.kind}),
            "fingerprint_id": self.fingerprint.id,
            "fingerprint": dict(self.fingerprint.fields),
            "extract_config": self.extract_config,
        }
        return (json.dumps(values, indent=2) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: Path) -> StoreDescription:
        """The inverse of `to_bytes`.

        Args:
            data: The JSON.
            where: The file that it comes from, for errors.

        Raises:
            DamagedDescriptionError: It is no description.
            StoreError: It is in another format.
        """
        try:
            values = json.loads(data)
            version = values["format_version"]
            fingerprint = Fingerprint(dict(values["fingerprint"]))
            kind = values.get("kind", FEATURES.name)
            description = cls(fingerprint, dict(values["extract_config"]), kind)
            whole = values["format"] == _FORMAT and values["fingerprint_id"] == fingerprint.id
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedDescriptionError(f"{where} is damaged: {error!r}") from error
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{where} is in format {version}; this version of deepseq reads format "
                f"{FORMAT_VERSION}. Extract again, or use the version that wrote it."
            )
        if kind not in list(KINDS):
            raise StoreError(
                f"{where}: this version of deepseq knows no store of {kind!r}, only of "
                f"{' and '.join(KINDS)}. Use the version that wrote it."
            )
        if not whole:
            raise DamagedDescriptionError(f"{where} was altered: its fingerprint is not its own id")
        return description

    @classmethod
    def read(cls, folder: Path, wanted: Kind = FEATURES) -> StoreDescription:
        """The description of the store in `folder`, of whatever kind.

        Args:
            folder: The store.
            wanted: What is looked for, to be named where there is nothing.

        Raises:
            DamagedDescriptionError: There are shards, but no description that can be read.
            StoreError: There is no store, or it is in another format.
        """
        path = folder / FILE_NAME
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise StoreError(f"{path} is not a regular file")
            return cls.from_bytes(path.read_bytes(), path)
        except FileNotFoundError as error:
            if not any(folder.glob("[!.]*.h5")):
                raise StoreError(
                    f"no {wanted.title} in {folder}: it has no {FILE_NAME}. {wanted.remedy}"
                ) from error
            problem = f"{folder} holds .h5 files but no {FILE_NAME}"
        except NotADirectoryError as error:
            raise StoreError(f"{folder} is a file; a {wanted.title} is a directory") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except DamagedDescriptionError as error:
            problem = str(error)
        raise DamagedDescriptionError(
            f"{problem}. `deepseq verify --repair {folder}` restores it from the shards."
        )
