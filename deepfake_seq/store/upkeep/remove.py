"""Remove videos from a store: all their records, and those in the face cache."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deepfake_seq.errors import StoreError, UsageError
from deepfake_seq.store.faces import FaceStore, faces_of, has_faces
from deepfake_seq.store.features import FeatureStore
from deepfake_seq.store.origins import Origins
from deepfake_seq.store.record_ids import video_of
from deepfake_seq.store.shards.description import StoreDescription
from deepfake_seq.store.shards.kinds import FACES
from deepfake_seq.store.store import Store
from deepfake_seq.store.writer import FaceStoreWriter, StoreWriter, Writer

_MAX_LISTED = 5


class Removal(NamedTuple):
    """Videos removed from a store, or to be removed.

    Attributes:
        videos: Ids of the videos, sorted.
        records: Number of their records in the store: people and views.
        faces: Number of their records in the face cache of the store.
        remaining: Number of videos that remain in the store.
    """

    videos: tuple[str, ...]
    records: int
    faces: int
    remaining: int


def remove(
    path: Path, video_ids: Sequence[str] = (), *, folder: Path | None = None, dry_run: bool = False
) -> Removal:
    """Remove videos from the feature store or face cache at `path`.

    The records of all people and views of a video are removed, and those in the face cache of a
    feature store. The shards that contain them are replaced by shards without them.

    Args:
        path: Directory of the store.
        video_ids: Ids of the videos.
        folder: Also remove the videos that were in this folder when they were extracted.
        dry_run: Whether to change nothing and only return what would be removed.

    Raises:
        UsageError: Neither an id nor a folder is given.
        StoreError: A video is not in the store (the message names it), another run is writing to
            the store, a record is damaged, or the disk refuses the write. Nothing is removed.
    """
    if not video_ids and folder is None:
        raise UsageError("no videos given: name their ids. Received: no ID")
    with _open(path, writing=not dry_run) as stores:
        wanted = _wanted(stores, video_ids, folder)
        removal = _removal(stores, wanted)
        if not dry_run:
            remove_videos([store for store in stores if isinstance(store, Writer)], wanted)
    return removal


def remove_videos(stores: Sequence[Writer[Any]], video_ids: Collection[str]) -> None:
    """Remove all records of videos from a store and, if there is one, its face cache.

    Args:
        stores: Writer of the store, followed by that of its face cache.
        video_ids: Ids of the videos.

    Raises:
        StoreError: See `remove`.
    """
    with ExitStack() as stack:
        removals = [stack.enter_context(store.removing(video_ids)) for store in stores]
        # The features last: as long as they are there, an interrupted removal can be repeated.
        for remove_all in reversed(removals):
            remove_all()
    stores[0].update_origins({}, video_ids)


def records_of(store: Store[Any], video_ids: Collection[str]) -> list[str]:
    """Return the ids of all records of videos in a store: people and views."""
    wanted = set(video_ids)
    return [name for name in store.video_ids if video_of(name) in wanted]


@contextmanager
def _open(path: Path, *, writing: bool) -> Iterator[list[Store[Any]]]:
    """Open the store at `path` and, after it, its face cache if there is one."""
    description = StoreDescription.read(path)
    stores: list[Store[Any]] = []
    with ExitStack() as stack:

        def add(folder: Path, description: StoreDescription) -> None:
            is_cache = description.kind == FACES.name
            if writing:
                kind: Any = FaceStoreWriter if is_cache else StoreWriter
                writer = stack.enter_context(kind.create(folder, description))
                writer.initialise()  # completes an interrupted removal
                stores.append(writer)
            else:
                stores.append((FaceStore if is_cache else FeatureStore).open(folder))

        add(path, description)
        if description.kind != FACES.name and has_faces(path):
            add(faces_of(path), StoreDescription.read(faces_of(path), FACES))
        yield stores


def _wanted(
    stores: Sequence[Store[Any]], video_ids: Sequence[str], folder: Path | None
) -> set[str]:
    """Return the ids of the videos to remove, and check that there are such videos."""
    existing = {video_of(name) for store in stores for name in store.video_ids}
    completed = {
        video_of(name)
        for store in stores
        if isinstance(store, Writer)
        for name in store.completed_removals
    }
    missing = [name for name in dict.fromkeys(video_ids) if name not in existing | completed]
    if missing:
        raise StoreError(_missing_message(missing, existing, stores[0].path))
    wanted = set(video_ids)
    if folder is not None:
        inside = set(_inside(folder, Origins.read(stores[0].path))) & existing
        if not inside:
            raise StoreError(
                f"no video of {stores[0].path} is known to come from this folder. Nothing was "
                f"removed. Received: {folder}"
            )
        wanted |= inside
    return wanted


def _inside(folder: Path, origins: Origins) -> Iterator[str]:
    """Yield the ids of the videos that were in a folder, or below it."""
    resolved = folder.resolve()
    for video_id, origin in origins.items():
        if Path(origin.root, video_id).is_relative_to(resolved):
            yield video_id


def _missing_message(missing: Sequence[str], existing: Collection[str], path: Path) -> str:
    listed = ", ".join(missing[:_MAX_LISTED])
    more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
    return (
        f"{path} has no video {listed}{more}. Nothing was removed. {_advice(missing[0], existing)}"
    )


def _advice(name: str, existing: Collection[str]) -> str:
    """Return what to give instead of an id that is not in the store."""
    if video_of(name) in existing:
        return f"{name} is one of the records of {video_of(name)}: give this id to remove them all."
    parts = Path(name).parts
    ends = {Path(*parts[start:]).as_posix() for start in range(1, len(parts))}
    similar = sorted(ends & set(existing), key=len)[-1:] or difflib.get_close_matches(
        name, existing, 1
    )
    hint = f" Did you mean {similar[0]}?" if similar else ""
    return f"Give ids as `deepseq info --videos` lists them.{hint}"


def _removal(stores: Sequence[Store[Any]], wanted: Collection[str]) -> Removal:
    store, *faces = stores
    kept = {video_of(name) for name in store.video_ids} - set(wanted)
    return Removal(
        tuple(sorted(wanted)),
        len(records_of(store, wanted)),
        sum(len(records_of(cache, wanted)) for cache in faces),
        len(kept),
    )
