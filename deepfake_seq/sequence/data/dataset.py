"""Labelled clips out of a feature store, with their features in memory or read as needed."""

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
from deepfake_seq.sequence.data.clip import Clip, clip_key
from deepfake_seq.sequence.data.features import ArrayFeatures, Arrays, Features, Rows, StoreFeatures
from deepfake_seq.sequence.data.view_records import ViewRecord, attached
from deepfake_seq.sequence.data.views import DAMAGED, UNUSABLE, clip_of, is_view
from deepfake_seq.store import FeatureStore, Record, Store

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
    """Clips to train on or to judge.

    Attributes:
        clips: What is known of each.
        features: Where the features are.
        rows: int64 (N,); the row of `features` of each clip.
        excluded: How many clips of the store were left out, by reason.
    """

    clips: tuple[Clip, ...]
    features: Features
    rows: Rows
    excluded: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 (N,); 1 = fake, 0 = real."""
        return np.array([clip.label for clip in self.clips], dtype=np.int64)

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The groups of each clip."""
        return [clip.groups for clip in self.clips]

    @property
    def groups_with_duplicates(self) -> list[tuple[str, ...]]:
        """The groups of each clip, with one more for clips that are the same file."""
        return add_duplicate_groups(self.groups, [clip.sha256 for clip in self.clips])

    @property
    def clips_with_duplicates(self) -> tuple[Clip, ...]:
        """The clips with these groups."""
        return tuple(map(_in_groups, self.clips, self.groups_with_duplicates))

    @property
    def counts(self) -> dict[str, int]:
        """How many clips there are of each class."""
        labels = self.labels
        return {"real": int((labels == REAL).sum()), "fake": int((labels == FAKE).sum())}

    @property
    def view_counts(self) -> dict[str, int]:
        """How many views of the clips there are of each class."""
        labels = [view.label for clip in self.clips for view in clip.views]
        return {"real": labels.count(REAL), "fake": labels.count(FAKE)}

    @property
    def pseudo_fakes(self) -> list[bool]:
        """Of each clip, whether who trains on it trains on a fake that is made from it."""
        return [any(view.label == FAKE for view in clip.views) for clip in self.clips]

    def with_views(self) -> TrainingRows:
        """The clips, each with its views behind it as further rows: what is trained on.

        Whatever judges, calibrates, counts or is written down goes by the clips alone.
        """
        if not any(clip.views for clip in self.clips):
            return TrainingRows(self)
        clips, rows = [], []
        for clip, row in zip(self.clips, self.rows.tolist(), strict=True):
            clips += [
                replace(clip, views=()),
                *(
                    replace(clip, video_id=view.video_id, label=view.label, views=())
                    for view in clip.views
                ),
            ]
            rows += [row, *(view.row for view in clip.views)]
        return TrainingRows(
            SequenceData(tuple(clips), self.features, np.array(rows, dtype=np.int64))
        )

    def take(self, positions: Rows) -> SequenceData:
        """The clips at `positions`, and their views; no feature is copied."""
        clips = tuple(self.clips[position] for position in positions)
        return SequenceData(clips, self.features, self.rows[positions])

    @staticmethod
    def joined(several: Sequence[SequenceData]) -> SequenceData:
        """The clips of all, one after the other; all are from the same features."""
        clips = tuple(clip for one in several for clip in one.clips)
        return SequenceData(
            clips, several[0].features, np.concatenate([one.rows for one in several])
        )

    def batches(self, size: int = _BATCH) -> Iterator[Arrays]:
        """All features (B, T, D) and masks (B, T) in the clips' order, `size` clips at a time."""
        for start in range(0, len(self), size):
            yield self.features.read(self.rows[start : start + size])

    def epoch(
        self, size: int, generator: np.random.Generator, *, balanced: bool = False
    ) -> Iterator[tuple[Arrays, npt.NDArray[np.int64]]]:
        """Every clip once in random order, in batches, with their labels.

        Args:
            size: Clips in a batch; the last may have fewer.
            generator: Of the order.
            balanced: Whether both classes come up equally often: clips of the rarer one then come
                up several times.
        """
        labels = self.labels
        for chunk in self.features.chunks(self.rows, generator):
            features, rows = self.features.hold(self.rows[chunk])
            own = labels[chunk]
            order = _evened(own, generator) if balanced else np.arange(len(chunk))
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                yield features.read(rows[chosen]), own[chosen]


TrainingRows = NewType("TrainingRows", SequenceData)
"""Clips and, as rows like them, their views. Only `with_views` makes it and only training takes it,
so that a type checker finds who forgets the views."""


def load(
    store: FeatureStore, memory_bytes: int = TRAINING_MEMORY_BYTES, *, views: bool = True
) -> SequenceData:
    """Find every labelled clip that shows enough of the face; they come in the order of their ids.

    Args:
        store: The features.
        memory_bytes: Features up to this size are held in memory. Views whose clip is not in the
            store do not count.
        views: Whether to read the views of the clips, too. Only training uses them.

    Raises:
        DatasetError: The store holds no such clip.
        StoreError: A record is damaged.
    """
    excluded: Counter[str] = Counter()
    clips: list[tuple[Clip, int]] = []
    claims: list[ViewRecord] = []
    video_ids: list[str] = []
    held: Arrays | None = None
    shape = (0, 0)
    names = store.reading_order
    if not views:
        names = [name for name in names if clip_of(name) == name]
    usable_rows = sum(clip_of(name) in store for name in names)
    for record in _enough(store, names, excluded):
        row = len(video_ids)
        if not row:
            shape = record.features.shape
            if 2 * usable_rows * shape[0] * shape[1] <= memory_bytes:
                held = (
                    np.empty((usable_rows, *shape), dtype=np.float16),
                    np.empty((usable_rows, shape[0]), dtype=np.bool_),
                )
        if not is_view(record.video_id, record.facts):
            clips.append((Clip.of(record), row))
        else:
            try:
                claims.append(ViewRecord.read(record, row))
            except ValueError:
                excluded[DAMAGED] += 1
                continue
            if clip_of(record.video_id) not in store:
                continue  # `attached` counts it
        if held:
            held[0][row], held[1][row] = record.features, record.mask
        video_ids.append(record.video_id)
    # By name: from memory, a seed gives the same model however the records lie on the disk.
    clips.sort(key=lambda pair: pair[0].video_id)
    whole = attached([clip for clip, _ in clips], claims, excluded)
    if not whole:
        raise nothing_to_train_on(store, excluded)
    features = ArrayFeatures(*held) if held else StoreFeatures(store, video_ids, shape)
    rows = np.array([row for _, row in clips], dtype=np.int64)
    return SequenceData(whole, features, rows, excluded)


def usable(store: Store[R], excluded: Counter[str]) -> Iterator[R]:
    """The records of labelled clips that show enough of the face, in the order of the disk.

    Args:
        store: Where they are.
        excluded: Where to count the others, by reason.
    """
    for record in _enough(store, store.reading_order, excluded):
        if is_view(record.video_id, record.facts):
            excluded[UNUSABLE] += 1
        else:
            yield record


def nothing_to_train_on(store: Store[R], excluded: Counter[str]) -> DatasetError:
    """What is raised where no record of a store can be used."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
    return DatasetError(
        f"nothing to train on in {store.path}: "
        + (f"of its {len(store)} clips, {reasons}. " if reasons else "it is empty. ")
        + "Labels come from folders called real and fake, or from `deepseq extract --labels`."
    )


def _enough(store: Store[R], names: Sequence[str], excluded: Counter[str]) -> Iterator[R]:
    """Every record of `names`, clip or view, that has a label and shows enough of the face."""
    for record in store.records(names):
        if record.failed:
            reason = f"failed ({record.status})"
        elif record.label == UNKNOWN:
            reason = "without a label"
        elif record.frames_valid < MIN_VALID_FRAMES:
            reason = f"with fewer than {MIN_VALID_FRAMES} frames that show the face"
        else:
            yield record
            continue
        excluded[UNUSABLE if is_view(record.video_id, record.facts) else reason] += 1


def _in_groups(clip: Clip, groups: tuple[str, ...]) -> Clip:
    return replace(clip, groups=groups)


def _evened(labels: npt.NDArray[np.int64], generator: np.random.Generator) -> Rows:
    """Positions in random order, with those of the rarer class repeated until both are as many.

    The classes take turns, so that every batch is even.
    """
    classes = [generator.permutation(np.flatnonzero(labels == label)) for label in (REAL, FAKE)]
    most = max(map(len, classes))
    if not all(map(len, classes)):
        return np.concatenate(classes)
    return np.stack([np.resize(positions, most) for positions in classes], axis=1).ravel()
