"""What a store says of itself: its fingerprint and the settings that it was made with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfake_seq.errors import StoreError
from deepfake_seq.store.fingerprint import Fingerprint

FORMAT_VERSION = 2
"""Of the whole format: the description and the shards."""

FILE_NAME = "store.json"
_FORMAT = "deepseq-store"


@dataclass(frozen=True)
class StoreDescription:
    """The content of `store.json`, of which every shard holds a copy.

    Attributes:
        fingerprint: What the features depend on.
        extract_config: The settings that the features were made with, as plain values.
    """

    fingerprint: Fingerprint
    extract_config: dict[str, Any]

    def to_bytes(self) -> bytes:
        """As indented JSON in ASCII."""
        values = {
            "format": _FORMAT,
            "format_version": FORMAT_VERSION,
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
            StoreError: It is not a description in this format.
        """
        try:
            values = json.loads(data)
            version = values["format_version"]
            if values["format"] != _FORMAT or version != FORMAT_VERSION:
                raise StoreError(
                    f"{where} is in format {values['format']} {version}; this version of deepseq "
                    f"reads {_FORMAT} {FORMAT_VERSION}"
                )
            fingerprint = Fingerprint(dict(values["fingerprint"]))
            if fingerprint.id != values["fingerprint_id"]:
                raise StoreError(f"{where} was altered: its fingerprint is not its own id")
            return cls(fingerprint, dict(values["extract_config"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StoreError(f"{where} is damaged: {error!r}") from error

    @classmethod
    def read(cls, folder: Path) -> StoreDescription:
        """The description of the store in `folder`.

        Raises:
            StoreError: There is none, or it cannot be read.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            if any(folder.glob("*.h5")):
                raise StoreError(
                    f"{folder} holds .h5 files but no {FILE_NAME}. `deepseq verify --repair "
                    f"{folder}` restores it, if they are a store's."
                )
            raise StoreError(
                f"no feature store in {folder}: it has no {FILE_NAME}. "
                "`deepseq extract PATH --out DIR` makes one."
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        try:
            return cls.from_bytes(data, path)
        except StoreError as error:
            raise StoreError(
                f"{error}. `deepseq verify --repair {folder}` restores it from the shards."
            ) from error
