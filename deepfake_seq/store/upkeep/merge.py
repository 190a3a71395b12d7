"""Several stores of one fingerprint into one."""

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
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.store import R, Store, require_kind
from deepfake_seq.store.writer import FaceStoreWriter, StoreWriter, Writer

_SHOWN = 5


class MergeResult(NamedTuple):
    """What a merge came to.

    Attributes:
        videos: How many records the store holds now.
        added: How many of them are new there.
    """

    videos: int
    added: int


def merge(sources: Sequence[Path], out: Path) -> MergeResult:
    """Bring all records of `sources`, of one kind, into the store at `out`, made if need be.

    A video that several stores hold must be the same in all of them; only a transient failure gives
    way to any other record. Nothing is written before all of that is known. A merge that was
    interrupted goes on when it is called again.

    Raises:
        UsageError: `out` is one of `sources`.
        FingerprintMismatchError: The stores were made with different settings.
        StoreError: Stores contradict each other (the message names the videos), they are not of one
            kind, or one is damaged.
    """
    with _planned(sources, out) as plan:
        return plan.carry_out()


def merge_with_faces(sources: Sequence[Path], out: Path) -> tuple[MergeResult, MergeResult | None]:
    """Merge stores, and their face caches if all have one.

    Nothing is written before it is known that neither the stores nor the caches contradict each
    other.

    Returns:
        What became of the stores, and of the face caches; None where some store has none.

    Raises:
        UsageError, StoreError: See `merge`.
    """
    if without_faces(sources):
        return merge(sources, out), None
    faces = [faces_of(source) for source in sources]
    with _planned(sources, out) as plan, _planned(faces, faces_of(out)) as plan_of_faces:
        merged = plan_of_faces.carry_out()  # first, as in extraction: what has features has faces
        return plan.carry_out(), merged


def without_faces(sources: Sequence[Path]) -> list[Path]:
    """The stores that have no face cache beside them."""
    return [source for source in sources if not has_faces(source)]


class _Plan(Generic[R]):
    """What has to be brought into a store, from where."""

    def __init__(self, writer: Writer[R], stores: Sequence[Store[R]]) -> None:
        self._writer = writer
        chosen = _choose([writer, *stores])
        self._new = {name: store for name, store in sorted(chosen.items()) if store is not writer}
        self._before = len(writer)

    def carry_out(self) -> MergeResult:
        writer, new = self._writer, self._new
        while new:
            group = list(new)[:SHARD_RECORDS]
            # Nothing is waited for while something is claimed: what others have comes later.
            claimed = [name for name in group if writer.claim(name)] or self._waited_for(group)
            self._bring({name: new.pop(name) for name in claimed})
        writer.seal()
        return MergeResult(len(writer), len(writer) - self._before)

    def _waited_for(self, group: list[str]) -> list[str]:
        self._writer.claim(group[0], wait=True)
        return group[:1]

    def _bring(self, chosen: dict[str, Store[R]]) -> None:
        """Add claimed records to the store; it may hold some of them by now."""
        for group in ShardLimits.of(self._writer.kind).groups(self._missing(chosen)):
            self._writer.add(group)
        for video_id in chosen:
            self._writer.release(video_id)

    def _missing(self, chosen: dict[str, Store[R]]) -> Iterator[R]:
        """The records that the store does not hold; better ones than it holds are committed."""
        writer = self._writer
        for video_id, store in chosen.items():
            if video_id not in writer:
                yield store[video_id]
            elif _choose([writer, store], [video_id])[video_id] is store:
                writer.commit(store[video_id])


@contextmanager
def _planned(sources: Sequence[Path], out: Path) -> Iterator[_Plan[Any]]:
    """What a merge has to do; raises what `merge` raises, before anything is written."""
    if out.resolve() in {source.resolve() for source in sources}:
        raise UsageError(f"--out must be another directory than the stores. Received: {out}")
    stores = [open_store(source) for source in sources]
    for store in stores[1:]:
        require_kind(store.path, store.description, stores[0].kind)
        differences = stores[0].fingerprint.differences(store.fingerprint)
        if differences:
            raise FingerprintMismatchError(
                f"{stores[0].path} ('there') and {store.path} ('here') were made with different "
                f"settings: {'; '.join(differences)}"
            )
    kind: type[StoreWriter | FaceStoreWriter] = (
        FaceStoreWriter if isinstance(stores[0], FaceStore) else StoreWriter
    )
    with kind.create(out, stores[0].description) as writer:
        yield _Plan[Any](writer, stores)


def _choose(
    stores: Sequence[Store[R]], video_ids: Sequence[str] | None = None
) -> dict[str, Store[R]]:
    """The store from which each video is taken, of all videos or of some.

    Raises:
        StoreError: Stores contradict each other.
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
                what = ", ".join(_differences(one, other))
                conflicts.append(f"{video_id} ({what}, in {first.path} and {store.path})")
    if conflicts:
        more = f" and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
        raise StoreError(
            f"{len(conflicts)} videos differ between the stores: {'; '.join(conflicts[:_SHOWN])}"
            f"{more}. Nothing was merged. Where only label, groups or split differ, `deepseq "
            "extract` with the same --labels brings them in line; else leave one store out."
        )
    return chosen


def _differences(one: Record, other: Record) -> list[str]:
    values, others = json.loads(one.metadata), json.loads(other.metadata)
    names = [name for name in values if name != "revision" and values[name] != others[name]]
    arrays = [
        name for name in one.DTYPES if not np.array_equal(getattr(one, name), getattr(other, name))
    ]
    return names + arrays
