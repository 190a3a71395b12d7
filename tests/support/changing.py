"""A store with a face cache whose records are removed or renamed, and what may be seen of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from records import FACES, FEATURES, StoreKind, make_faces, make_record, payload

from deepfake_seq.store import FaceStore, FeatureStore, Store, faces_of
from deepfake_seq.store.upkeep.remove import remove

REMOVED = ("1.mp4", "6.mp4")
RENAMED = {"2.mp4": "new/2.mp4", "2.mp4@view1": "new/2.mp4@view1", "9.mp4": "new/9.mp4"}
VIEW = {"view": {"kind": "view", "number": 1, "of": "2.mp4", "settings": {}}}

RECORDS: list[Any] = [make_record(f"{number}.mp4", seed=number) for number in range(10)]
RECORDS += [make_record(f"{n}.mp4@view1", seed=10 + n, facts=VIEW) for n in (1, 2)]
FACE_RECORDS: list[Any] = [make_faces(f"{number}.mp4", seed=number) for number in range(10)]


def prepare(path: Path) -> None:
    """Write the store: two sealed shards, two single records, one of them of a second revision."""
    for kind, folder, records in (
        (FEATURES, path, RECORDS),
        (FACES, faces_of(path), FACE_RECORDS),
    ):
        with kind.writer.create(folder, kind.description, shard_records=4) as writer:
            for record in records[:8]:
                writer.commit(record)
            writer.seal()
            for record in (*records[8:], records[1]):
                writer.commit(record)


def take_out(path: Path) -> None:
    """Remove two videos."""
    remove(path, REMOVED)


def give_new_names(path: Path) -> None:
    """Rename two videos."""
    for kind, folder in ((FACES, faces_of(path)), (FEATURES, path)):
        with kind.writer.create(folder, kind.description) as writer:
            names = {old: new for old, new in RENAMED.items() if old in writer}
            writer.rename(names)


def complete(path: Path) -> None:
    """Open both stores for writing, as the next run does."""
    for kind, folder in ((FACES, faces_of(path)), (FEATURES, path)):
        with kind.writer.create(folder, kind.description) as writer:
            writer.initialise()


def contents(path: Path) -> dict[str, bytes]:
    """Return the large array of each record in both stores, by kind and id."""
    found = {}
    stores: list[tuple[StoreKind, Store[Any]]] = [
        (FEATURES, FeatureStore.open(path)),
        (FACES, FaceStore.open(faces_of(path))),
    ]
    for kind, store in stores:
        for record in store:
            found[f"{kind.name} {record.video_id}"] = payload(record)
    return found


def changed_names() -> set[str]:
    """Return the keys in `contents` of the records that either change concerns."""
    concerned = [record.video_id for record in RECORDS]
    return {
        f"{kind} {name}"
        for kind in ("features", "faces")
        for name in concerned
        if name in RENAMED or name.removesuffix("@view1") in REMOVED
    }


def file_bytes(path: Path) -> bytes:
    """Return the bytes of all files in the store."""
    return b"".join(file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file())
