"""Several stores of one fingerprint into one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.errors import FingerprintMismatchError, StoreError, UsageError
from deepfake_seq.store.record import ARRAYS, FeatureRecord
from deepfake_seq.store.store import FeatureStore
from deepfake_seq.store.writer import StoreWriter

_SHOWN = 5


def merge(sources: Sequence[Path], out: Path) -> tuple[int, int]:
    """Bring all records of `sources` into the store at `out`, which may be there already.

    A video that several stores hold must be the same in all of them; only a transient failure gives
    way to any other record. Nothing is written before all of that is known. A merge that was
    interrupted goes on when it is called again.

    Returns:
        How many videos `out` holds now, and how many of them are new there.

    Raises:
        UsageError: `out` is one of `sources`.
        FingerprintMismatchError: The stores were made with different settings.
        StoreError: Stores contradict each other (the message names the videos), or one is damaged.
    """
    if out.resolve() in {source.resolve() for source in sources}:
        raise UsageError(f"--out must be another directory than the stores. Received: {out}")
    stores = [FeatureStore.open(source) for source in sources]
    for store in stores[1:]:
        differences = stores[0].fingerprint.differences(store.fingerprint)
        if differences:
            raise FingerprintMismatchError(
                f"{stores[0].path} ('there') and {store.path} ('here') were made with different "
                f"settings: {'; '.join(differences)}"
            )
    with StoreWriter.create(out, stores[0].description) as writer:
        before = len(writer)
        chosen = _choose([writer, *stores])
        new = {name: store for name, store in sorted(chosen.items()) if store is not writer}
        while new:
            group = list(new)[:SHARD_RECORDS]
            # Nothing is waited for while something is claimed: what others have comes later.
            claimed = [name for name in group if writer.claim(name)] or _waited_for(writer, group)
            _bring(writer, {name: new.pop(name) for name in claimed})
        writer.seal()
        return len(writer), len(writer) - before


def _waited_for(writer: StoreWriter, group: list[str]) -> list[str]:
    writer.claim(group[0], wait=True)
    return group[:1]


def _bring(writer: StoreWriter, chosen: dict[str, FeatureStore]) -> None:
    """Add claimed records to the store; it may hold some of them by now."""
    added = []
    for video_id, store in chosen.items():
        if video_id not in writer:
            added.append(store[video_id])
        elif _choose([writer, store], [video_id])[video_id] is store:
            writer.commit(store[video_id])
    if added:
        writer.add(added)
    for video_id in chosen:
        writer.release(video_id)


def _choose(
    stores: Sequence[FeatureStore], video_ids: Sequence[str] | None = None
) -> dict[str, FeatureStore]:
    """The store from which each video is taken, of all videos or of some.

    Raises:
        StoreError: Stores contradict each other.
    """
    chosen: dict[str, FeatureStore] = {}
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


def _differences(one: FeatureRecord, other: FeatureRecord) -> list[str]:
    values, others = json.loads(one.metadata), json.loads(other.metadata)
    names = [name for name in values if name != "revision" and values[name] != others[name]]
    arrays = [
        name for name in ARRAYS if not np.array_equal(getattr(one, name), getattr(other, name))
    ]
    return names + arrays
