"""Merge stores with the same fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple

import numpy as np

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.errors import FingerprintMismatchError, StoreError, UsageError
from deepfake_seq.store.faces import FaceStore, faces_of, has_faces, open_store
from deepfake_seq.store.origins import Origin, Origins
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.store import R, Store, require_kind
from deepfake_seq.store.writer import FaceStoreWriter, StoreWriter, Writer

_MAX_LISTED_CONFLICTS = 5


class MergeResult(NamedTuple):
    """Result of a merge.

    Attributes:
        videos: Number of records in the merged store.
        added: Number of records that the merge added to it.
    """

    videos: int
    added: int


def merge(sources: Sequence[Path], out: Path) -> MergeResult:
    """Copy all records of `sources` into the store at `out`, which need not exist.

    The records of a video in several stores must be equal; only a transient failure is replaced by
    any other record. All stores are compared before anything is written. Calling `merge` again
    continues an interrupted merge.

    Raises:
        UsageError: `out` is one of `sources`.
        FingerprintMismatchError: The stores were made with different settings.
        StoreError: Records of a video differ (the message names the videos), the stores are not of
            the same kind, or one is damaged.
    """
    with _plan(sources, out) as plan:
        return plan.execute()


def merge_with_faces(sources: Sequence[Path], out: Path) -> tuple[MergeResult, MergeResult | None]:
    """Merge stores and, if all of them have one, their face caches.

    All stores and caches are compared before anything is written.

    Returns:
        Results for the stores and for the face caches; None if a store has no face cache.

    Raises:
        UsageError, StoreError: See `merge`.
    """
    if without_faces(sources):
        return merge(sources, out), None
    faces = [faces_of(source) for source in sources]
    with _plan(sources, out) as plan, _plan(faces, faces_of(out)) as faces_plan:
        # Faces first, as in extraction: every record of features then has its faces.
        faces_result = faces_plan.execute()
        return plan.execute(), faces_result


def without_faces(sources: Sequence[Path]) -> list[Path]:
    """Return the stores without a face cache."""
    return [source for source in sources if not has_faces(source)]


class _Plan(Generic[R]):
    """The records to copy into a store, and the store that each is copied from."""

    def __init__(self, writer: Writer[R], stores: Sequence[Store[R]]) -> None:
        self._writer = writer
        chosen = _choose([writer, *stores])
        self._new = {name: store for name, store in sorted(chosen.items()) if store is not writer}
        self._before = len(writer)
        self._origins = _merged_origins([writer, *stores])

    def execute(self) -> MergeResult:
        """Copy the records."""
        writer, new = self._writer, self._new
        while new:
            group = list(new)[:SHARD_RECORDS]
            # Do not wait while holding claims: records claimed by other writers come later.
            claimed = [name for name in group if writer.claim(name)] or self._claim_first(group)
            self._copy({name: new.pop(name) for name in claimed})
        if self._origins:
            writer.update_origins(self._origins)
        writer.seal()
        return MergeResult(len(writer), len(writer) - self._before)

    def _claim_first(self, group: list[str]) -> list[str]:
        """Wait for the claim on the first record of a group."""
        self._writer.claim(group[0], wait=True)
        return group[:1]

    def _copy(self, chosen: dict[str, Store[R]]) -> None:
        """Copy claimed records, except those that other writers have added by now."""
        for group in ShardLimits.of(self._writer.kind).groups(self._missing(chosen)):
            self._writer.add(group)
        for video_id in chosen:
            self._writer.release(video_id)

    def _missing(self, chosen: dict[str, Store[R]]) -> Iterator[R]:
        """Yield the missing records; commit those that replace a transient failure."""
        writer = self._writer
        for video_id, store in chosen.items():
            if video_id not in writer:
                yield store[video_id]
            elif _choose([writer, store], [video_id])[video_id] is store:
                writer.commit(store[video_id])


@contextmanager
def _plan(sources: Sequence[Path], out: Path) -> Iterator[_Plan[Any]]:
    """Compare the stores and yield the plan of a merge; raise what `merge` raises."""
    if out.resolve() in {source.resolve() for source in sources}:
        raise UsageError(f"--out must not be one of the stores to merge. Received: {out}")
    stores = [open_store(source) for source in sources]
    for store in stores[1:]:
        require_kind(store.path, store.description, stores[0].kind)
        differences = stores[0].fingerprint.differences(store.fingerprint)
        if differences:
            raise FingerprintMismatchError(
                f"{stores[0].path} ('there') and {store.path} ('here') were made with different "
                f"settings: {'; '.join(differences)}. Merge only stores with the same settings."
            )
    writer_class: type[StoreWriter | FaceStoreWriter] = (
        FaceStoreWriter if isinstance(stores[0], FaceStore) else StoreWriter
    )
    with writer_class.create(out, stores[0].description) as writer:
        yield _Plan[Any](writer, stores)


def _choose(
    stores: Sequence[Store[R]], video_ids: Sequence[str] | None = None
) -> dict[str, Store[R]]:
    """Return the store to copy each video from, for all videos or for `video_ids`.

    Raises:
        StoreError: Records of a video differ.
    """
    chosen: dict[str, Store[R]] = {}
    conflicts = []
    for store in stores:
        for video_id in store.video_ids if video_ids is None else video_ids:
            first = chosen.setdefault(video_id, store)
            if first is store:
                continue
            one, other = first[video_id], store[video_id]
            if one.transient and not other.transient:
                chosen[video_id] = store
            elif not other.transient and not one.same_content(other):
                fields = ", ".join(_differences(one, other))
                conflicts.append(f"{video_id} ({fields}, in {first.path} and {store.path})")
    if conflicts:
        listed = "; ".join(conflicts[:_MAX_LISTED_CONFLICTS])
        unlisted = len(conflicts) - _MAX_LISTED_CONFLICTS
        more = f" and {unlisted} more" if unlisted > 0 else ""
        raise StoreError(
            f"{len(conflicts)} videos differ between the stores: {listed}{more}. Nothing was "
            "merged. If only label, groups or split differ, run `deepseq extract` with the same "
            "--labels on each store; otherwise omit one store."
        )
    return chosen


def _merged_origins(stores: Sequence[Store[R]]) -> dict[str, Origin]:
    """Return the origins of all stores; the first store that knows one of a file that was read."""
    merged: dict[str, Origin] = {}
    for store in stores:
        for video_id, origin in Origins.read(store.path).items():
            if video_id not in merged or not merged[video_id].check:
                merged[video_id] = origin
    return merged


def _differences(one: Record, other: Record) -> list[str]:
    """Return the names of the fields and arrays that differ."""
    values, others = json.loads(one.metadata), json.loads(other.metadata)
    names = [name for name in values if name != "revision" and values[name] != others[name]]
    arrays = [
        name for name in one.DTYPES if not np.array_equal(getattr(one, name), getattr(other, name))
    ]
    first, second = one.optional_arrays, other.optional_arrays
    none = np.zeros(0)
    names += [
        name
        for name in sorted(first.keys() | second.keys())
        if not np.array_equal(first.get(name, none), second.get(name, none))
    ]
    return names + arrays
