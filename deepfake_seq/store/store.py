"""A directory of shards with one fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store.fingerprint import Fingerprint
from deepfake_seq.store.record import FeatureRecord, SourceFile
from deepfake_seq.store.shard import FORMAT_VERSION, ShardReader, encode

DESCRIPTION = "store.json"
_FORMAT = "deepseq-store"


@dataclass(frozen=True)
class Entry:
    """What is known of a record without reading its arrays.

    Attributes:
        shard: The file that it is in.
        position: Its row there.
        metadata: The record's metadata as `FeatureRecord.metadata` writes it, parsed.
    """

    shard: Path
    position: int
    metadata: dict[str, Any]

    @property
    def status(self) -> str:
        """The record's status."""
        return str(self.metadata["status"])

    @property
    def assigned(self) -> tuple[int, tuple[str, ...], str]:
        """The label, the groups and the part of the split."""
        values = self.metadata
        return values["label"], tuple(values["groups"]), values["split"]

    @property
    def source(self) -> SourceFile:
        """The video file as it was when it was read."""
        return SourceFile(**self.metadata["source"])


class FeatureStore:
    """Feature records by `video_id`; iterating gives them in the order of their ids.

    Made by `FeatureStore.open` (to read, or to go on writing) and `FeatureStore.create`.

    Attributes:
        path: The directory.
        fingerprint: What the features depend on.
        extract_config: The settings that the features were made with, as plain values.
    """

    def __init__(
        self, path: Path, fingerprint: Fingerprint, extract_config: dict[str, Any]
    ) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.extract_config = extract_config
        self._entries: dict[str, Entry] = {}
        for shard in sorted(path.glob("*.h5")):
            self._index(shard)

    @classmethod
    def open(cls, path: Path) -> FeatureStore:
        """Open the store at `path`.

        Raises:
            StoreError: There is none, or a file in it is not what it should be.
        """
        description = path / DESCRIPTION
        if not description.is_file():
            raise StoreError(
                f"no feature store in {path}: it has no {DESCRIPTION}. "
                "`deepseq extract PATH --out DIR` makes one."
            )
        try:
            values = json.loads(description.read_text())
            version = values["format_version"]
            if values["format"] != _FORMAT or version != FORMAT_VERSION:
                raise StoreError(
                    f"{description} is not of format {_FORMAT} {FORMAT_VERSION}. "
                    f"Received: {values['format']} {version}"
                )
            fingerprint = Fingerprint(values["fingerprint"])
            if fingerprint.id != values["fingerprint_id"]:
                raise StoreError(f"{description} was altered: its fingerprint is not its own id")
            return cls(path, fingerprint, dict(values["extract_config"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{description} cannot be read: {error!r}") from error

    @classmethod
    def create(
        cls, path: Path, fingerprint: Fingerprint, extract_config: dict[str, Any]
    ) -> FeatureStore:
        """Make a store at `path`, or open the one that is there if its fingerprint is the same.

        Raises:
            FingerprintMismatchError: The store there has another fingerprint; says what differs.
            StoreError: There are shards without a description, or the directory cannot be written.
        """
        if (path / DESCRIPTION).is_file():
            store = cls.open(path)
            differences = store.fingerprint.differences(fingerprint)
            if differences:
                raise FingerprintMismatchError(
                    f"{path} was extracted with other settings: {'; '.join(differences)}. "
                    "Use its settings, or give another --out."
                )
            return store
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is a file; a store is a directory. Give another --out.")
        if any(path.glob("*.h5")):
            raise StoreError(
                f"{path} holds .h5 files but no {DESCRIPTION}, so nobody knows how they were made. "
                "Give another --out."
            )
        values = {
            "format": _FORMAT,
            "format_version": FORMAT_VERSION,
            "fingerprint_id": fingerprint.id,
            "fingerprint": dict(fingerprint.fields),
            "extract_config": extract_config,
        }
        try:
            atomic.write_json(path / DESCRIPTION, values)
        except OSError as error:
            raise StoreError(f"cannot write to {path}: {error.strerror}") from error
        return cls(path, fingerprint, extract_config)

    def __repr__(self) -> str:
        return f"<FeatureStore {self.path} fingerprint={self.fingerprint.id} records={len(self)}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._entries

    def __iter__(self) -> Iterator[FeatureRecord]:
        for video_id in sorted(self._entries):
            yield self[video_id]

    def __getitem__(self, video_id: str) -> FeatureRecord:
        """The record of a video, checked.

        Raises:
            KeyError: There is none.
            StoreError: It is damaged; the message names the video.
        """
        entry = self._entries[video_id]
        try:
            with ShardReader(entry.shard, self.fingerprint.id) as shard:
                record = shard.read(entry.position)
        except (StoreError, IndexError) as error:
            raise StoreError(f"{video_id}: {error}") from error
        if record.video_id != video_id:
            raise StoreError(f"{video_id}: {entry.shard} now holds {record.video_id!r} instead")
        return record

    def entries(self) -> dict[str, Entry]:
        """What is known of every record without reading its arrays, by `video_id`."""
        return dict(sorted(self._entries.items()))

    def entry(self, video_id: str) -> Entry | None:
        """What is known of one record, or None where there is none."""
        return self._entries.get(video_id)

    def commit(self, record: FeatureRecord) -> None:
        """Keep `record` for good, in the place of an older one of the same video.

        When this returns, the record survives a crash of the machine; when it does not, the store
        is as it was.

        Raises:
            StoreError: The disk does not take it.
        """
        path = self.path / _shard_name(record.video_id)
        try:
            atomic.write_bytes(path, encode([record], self.fingerprint.id))
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error
        self._entries[record.video_id] = Entry(path, 0, json.loads(record.metadata))

    def discard_if_empty(self) -> None:
        """Take the description back where nothing was ever committed.

        So that settings which turn out not to work do not reserve the directory.
        """
        if not self._entries:
            (self.path / DESCRIPTION).unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def _index(self, path: Path) -> None:
        with ShardReader(path, self.fingerprint.id) as shard:
            try:
                parsed = [json.loads(text) for text in shard.metadata()]
                ids = [str(values["video_id"]) for values in parsed]
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise StoreError(f"{path} is damaged: its metadata cannot be read") from error
        for position, (video_id, values) in enumerate(zip(ids, parsed, strict=True)):
            entry, own_shard = Entry(path, position, values), _shard_name(video_id)
            twin = self._entries.get(video_id)
            # A record that was committed later has a shard of its own, and stands for the video.
            if twin is None or (path.name == own_shard and twin.shard != path):
                self._entries[video_id] = entry
            elif twin.shard.name != own_shard or twin.shard == path:
                raise StoreError(f"{video_id} stands in {twin.shard} and in {path}. Keep one.")


def _shard_name(video_id: str) -> str:
    digest = hashlib.sha256(video_id.encode("utf-8", "surrogateescape")).hexdigest()
    return f"video-{digest[:20]}.h5"
