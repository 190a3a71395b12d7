"""Load labelled clips from a feature store, with features in memory or streamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NewType, TypeVar

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import MIN_VALID_FRAMES, TRAINING_MEMORY_BYTES
from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, add_duplicate_groups
from deepfake_seq.errors import DatasetError
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.data.clip import Clip, clip_key, require_consistent_labels
from deepfake_seq.sequence.data.features import (
    Arrays,
    CollectedFeatures,
    Features,
    Rows,
    SelectedBlocks,
)
from deepfake_seq.sequence.data.view_records import ViewRecord, attach_views
from deepfake_seq.sequence.data.views import BLEND, DAMAGED, UNUSABLE, is_view
from deepfake_seq.store import FeatureStore, Record, Store
from deepfake_seq.store.record_ids import clip_id_of, is_view_id

__all__ = [
    "Clip",
    "SequenceData",
    "TrainingRows",
    "clip_key",
    "load",
    "nothing_to_train_on",
    "usable",
]

R = TypeVar("R", bound=Record)

_BATCH = 64


@dataclass(frozen=True, eq=False)
class SequenceData:
    """Labelled clips and their features.

    Attributes:
        clips: The clips without their features.
        features: Features of these and possibly other clips.
        rows: Row of each clip in `features`, int64 (N,).
        excluded: Number of excluded records of the store, by reason.
    """

    clips: tuple[Clip, ...]
    features: Features
    rows: Rows
    excluded: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Label of each clip, int64 (N,); 1 = fake, 0 = real."""
        return np.array([clip.label for clip in self.clips], dtype=np.int64)

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Groups of each clip."""
        return [clip.groups for clip in self.clips]

    @property
    def groups_with_duplicates(self) -> list[tuple[str, ...]]:
        """Groups of each clip; duplicates of the same file share one more group."""
        return add_duplicate_groups(self.groups, [clip.sha256 for clip in self.clips])

    @property
    def clips_with_duplicates(self) -> tuple[Clip, ...]:
        """The clips with `groups_with_duplicates` as their groups."""
        pairs = zip(self.clips, self.groups_with_duplicates, strict=True)
        return tuple(replace(clip, groups=groups) for clip, groups in pairs)

    @property
    def counts(self) -> dict[str, int]:
        """Number of `real` and `fake` clips."""
        labels = self.labels
        return {"real": int((labels == REAL).sum()), "fake": int((labels == FAKE).sum())}

    @property
    def view_counts(self) -> dict[str, int]:
        """Number of `real` and `fake` views."""
        labels = [view.label for clip in self.clips for view in clip.views]
        return {"real": labels.count(REAL), "fake": labels.count(FAKE)}

    @property
    def pseudo_fakes(self) -> list[bool]:
        """Whether each clip has a fake view, so that training on it includes a fake."""
        return [any(view.label == FAKE for view in clip.views) for clip in self.clips]

    def without_pseudo_fakes(self) -> SequenceData:
        """Return the clips with their self-blended fakes as `mask_views` alone."""
        clips = tuple(
            replace(
                clip,
                views=tuple(view for view in clip.views if view.kind != BLEND),
                mask_views=(
                    *clip.mask_views,
                    *(view for view in clip.views if view.kind == BLEND),
                ),
            )
            if clip.views
            else clip
            for clip in self.clips
        )
        return replace(self, clips=clips)

    @property
    def mask_shares(self) -> npt.NDArray[np.float32]:
        """Share of each face region that was replaced, float32 (N, 6); NaN if unknown."""
        unknown = (np.nan,) * len(REGIONS)
        shares = [clip.mask_shares or unknown for clip in self.clips]
        return np.array(shares, dtype=np.float32).reshape(-1, len(REGIONS))

    def with_views(self, *, masks: bool = False) -> TrainingRows:
        """Return the rows to train on: each clip, followed by its views.

        Evaluation, calibration, counts and files use the clips alone.

        Args:
            masks: Whether to add the `mask_views`. Their label is unknown, so that they have no
                weight in the loss of the logits.
        """
        if not any(clip.views or clip.mask_views for clip in self.clips):
            return TrainingRows(self)
        clips, rows = [], []
        for clip, row in zip(self.clips, self.rows.tolist(), strict=True):
            views = [(view, view.label) for view in clip.views]
            if masks:
                views += [(view, UNKNOWN) for view in clip.mask_views]
            alone = replace(clip, views=(), mask_views=())
            clips.append(alone)
            for view, label in views:
                # An augmented copy has the shares of its clip; those of a fake may be unknown.
                shares = view.mask_shares if view.kind == BLEND else clip.mask_shares
                clips.append(
                    replace(alone, video_id=view.video_id, label=label, mask_shares=shares)
                )
            rows += [row, *(view.row for view, _ in views)]
        return TrainingRows(
            SequenceData(tuple(clips), self.features, np.array(rows, dtype=np.int64))
        )

    def take(self, positions: Rows) -> SequenceData:
        """Return the clips at `positions` with their views, without copying features."""
        clips = tuple(self.clips[position] for position in positions)
        return SequenceData(clips, self.features, self.rows[positions])

    def with_blocks(self, names: Sequence[str]) -> SequenceData:
        """Return the clips with some of their evidence blocks."""
        if tuple(names) == tuple(self.features.blocks):
            return self
        return replace(self, features=SelectedBlocks(self.features, names))

    @staticmethod
    def joined(subsets: Sequence[SequenceData]) -> SequenceData:
        """Concatenate subsets of the same features."""
        clips = tuple(clip for subset in subsets for clip in subset.clips)
        rows = np.concatenate([subset.rows for subset in subsets])
        return SequenceData(clips, subsets[0].features, rows)

    def batches(self, size: int = _BATCH) -> Iterator[Arrays]:
        """Yield features (B, T, D) and masks (B, T) of all clips, in their order."""
        for start in range(0, len(self), size):
            yield self.features.read(self.rows[start : start + size])

    def epoch(
        self, size: int, generator: np.random.Generator, *, balanced: bool = False
    ) -> Iterator[tuple[Arrays, Rows]]:
        """Yield every clip once in random order, in batches with the positions of the clips.

        Args:
            size: Number of clips in a batch; the last one may be smaller.
            generator: Random generator of the order.
            balanced: Repeat clips of the rarer class so that both classes are equally frequent.
        """
        labels = self.labels
        for chunk in self.features.chunks(self.rows, generator):
            features, rows = self.features.hold(self.rows[chunk])
            order = _balanced(labels[chunk], generator) if balanced else np.arange(len(chunk))
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                yield features.read(rows[chosen]), chunk[chosen]


TrainingRows = NewType("TrainingRows", SequenceData)
"""Clips and their views as rows. Only `with_views` creates it and only training accepts it, so that
a type checker finds training code that forgets the views."""


def load(
    store: FeatureStore,
    memory_bytes: int = TRAINING_MEMORY_BYTES,
    *,
    views: bool = True,
    evidence: Sequence[str] = (),
) -> SequenceData:
    """Load every labelled clip with enough valid frames, sorted by id.

    Args:
        store: The features.
        memory_bytes: Maximum size of features held in memory; larger ones are streamed. Views whose
            clip is not in the store do not count.
        views: Whether to load the views of the clips, which only training uses.
        evidence: Evidence blocks to load; by default those that every loaded record has.

    Raises:
        DatasetError: The store has no such clip, one file has opposite labels, or a clip lacks a
            requested block.
        StoreError: A record is damaged.
    """
    excluded: Counter[str] = Counter()
    clips: list[tuple[Clip, int]] = []
    view_records: list[ViewRecord] = []
    names = store.reading_order
    if not views:
        names = [name for name in names if not is_view_id(name)]
    usable_rows = sum(clip_id_of(name) in store for name in names)
    collected = CollectedFeatures(store, usable_rows, memory_bytes, evidence)
    for record in _labelled_records(store, names, excluded):
        if not is_view(record.video_id, record.facts):
            clips.append((Clip.of(record), len(collected)))
        else:
            try:
                view_records.append(ViewRecord.read(record, len(collected)))
            except ValueError:
                excluded[DAMAGED] += 1
                continue
            if clip_id_of(record.video_id) not in store:
                continue  # `attach_views` counts it
        collected.add(record)
    # Sorted by name: in memory, the model for a seed then does not depend on the order on disk.
    clips.sort(key=lambda pair: pair[0].video_id)
    with_views = attach_views([clip for clip, _ in clips], view_records, excluded)
    if not with_views:
        raise nothing_to_train_on(store, excluded)
    require_consistent_labels(with_views, store.path)
    rows = np.array([row for _, row in clips], dtype=np.int64)
    return SequenceData(with_views, collected.features(), rows, excluded)


def usable(store: Store[R], excluded: Counter[str]) -> Iterator[R]:
    """Yield the records of labelled clips with enough valid frames, in the order on disk.

    Args:
        store: A store of features or faces.
        excluded: Counter of excluded records by reason; updated.
    """
    for record in _labelled_records(store, store.reading_order, excluded):
        if is_view(record.video_id, record.facts):
            excluded[UNUSABLE] += 1
        else:
            yield record


def nothing_to_train_on(store: Store[R], excluded: Counter[str]) -> DatasetError:
    """Return the error for a store without a usable record."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
    return DatasetError(
        f"nothing to train on in {store.path}: "
        + (f"of its {len(store)} clips, {reasons}. " if reasons else "it is empty. ")
        + "Label the clips with folders named real and fake, or with `deepseq extract --labels`."
    )


def _labelled_records(store: Store[R], names: Sequence[str], excluded: Counter[str]) -> Iterator[R]:
    """Yield the clips and views of `names` that have a label and enough valid frames."""
    for record in store.records(names):
        if record.failed:
            reason = f"failed ({record.status})"
        elif record.label == UNKNOWN:
            reason = "without a label"
        elif record.frames_valid < MIN_VALID_FRAMES:
            reason = f"with a face in fewer than {MIN_VALID_FRAMES} frames"
        else:
            yield record
            continue
        excluded[UNUSABLE if is_view(record.video_id, record.facts) else reason] += 1


def _balanced(labels: npt.NDArray[np.int64], generator: np.random.Generator) -> Rows:
    """Return positions in random order, with those of the rarer class repeated.

    The classes alternate, so that every batch is balanced. Rows without a label are at random
    places between them.
    """
    unlabelled = np.flatnonzero(labels == UNKNOWN)
    classes = [generator.permutation(np.flatnonzero(labels == label)) for label in (REAL, FAKE)]
    size = max(map(len, classes))
    if not all(map(len, classes)):
        return np.concatenate([*classes, unlabelled])
    order = np.stack([np.resize(positions, size) for positions in classes], axis=1).ravel()
    places = generator.integers(0, len(order), len(unlabelled), endpoint=True)
    return np.insert(order, places, unlabelled)
