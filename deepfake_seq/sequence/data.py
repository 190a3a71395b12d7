"""Labelled clips out of a feature store, with their features in memory or read as needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import MIN_VALID_FRAMES, TRAINING_MEMORY_BYTES
from deepfake_seq.datasets import FAKE, REAL, UNKNOWN, with_twins
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.features import ArrayFeatures, Arrays, Features, Rows, StoreFeatures
from deepfake_seq.store import FeatureRecord, FeatureStore

_BATCH = 64
_PERSON = re.compile(r"#\d+$")


def clip_key(video_id: str, sha256: str) -> str:
    """What tells a clip from others: its content or, where that is not known, its name.

    Of a video with a record for each person (`VIDEO#0`, `VIDEO#1` …), the person belongs to it.
    """
    person = _PERSON.search(video_id)
    return f"{sha256}{person[0] if person else ''}" if sha256 else video_id


@dataclass(frozen=True, eq=False)
class Clip:
    """What is known of a clip beside its features.

    Attributes:
        video_id: Of the store.
        label: 1 = fake, 0 = real.
        groups: Identities and source videos in it.
        part: The part that the data set assigns, or "".
        sha256: Of the video file's content, in hex, or "".
        size_bytes: Of the video file.
        face_pixels: The mean side of the face's box, in pixels of the frame.
        facts: What else the store knows: `method`, `dataset`, `width`, `height`, `fps`,
            `duration_seconds`, `codec` …
    """

    video_id: str
    label: int
    groups: tuple[str, ...] = ()
    part: str = ""
    sha256: str = ""
    size_bytes: int = 0
    face_pixels: float = 0.0
    facts: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, record: FeatureRecord) -> Clip:
        """What a record says; it has a valid frame."""
        sides = np.diff(record.boxes_xyxy[record.mask].reshape(-1, 2, 2), axis=1)
        return cls(
            record.video_id,
            record.label,
            record.groups,
            record.split,
            record.source.sha256,
            record.source.size_bytes,
            float(np.sqrt(np.abs(sides.prod(axis=2))).mean()),
            record.facts,
        )

    @property
    def key(self) -> str:
        """What tells it from others; see `clip_key`."""
        return clip_key(self.video_id, self.sha256)

    @property
    def method(self) -> str:
        """How the fake was made, or ""."""
        return str(self.facts.get("method", ""))

    @property
    def dataset(self) -> str:
        """The data set that it is from, or ""."""
        return str(self.facts.get("dataset", ""))


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
    def groups_with_twins(self) -> list[tuple[str, ...]]:
        """The groups of each clip, with one more for clips that are the same file."""
        return with_twins(self.groups, [clip.sha256 for clip in self.clips])

    @property
    def clips_with_twins(self) -> tuple[Clip, ...]:
        """The clips with these groups."""
        return tuple(map(_in_groups, self.clips, self.groups_with_twins))

    @property
    def counts(self) -> dict[str, int]:
        """How many clips there are of each class."""
        labels = self.labels
        return {"real": int((labels == REAL).sum()), "fake": int((labels == FAKE).sum())}

    def take(self, positions: Rows) -> SequenceData:
        """The clips at `positions`; no feature is copied."""
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


def load(store: FeatureStore, memory_bytes: int = TRAINING_MEMORY_BYTES) -> SequenceData:
    """Find every labelled clip that shows enough of the face; they come in the order of their ids.

    Args:
        store: The features.
        memory_bytes: Features up to this size are held in memory.

    Raises:
        DatasetError: The store holds no such clip.
        StoreError: A record is damaged.
    """
    excluded: Counter[str] = Counter()
    clips: list[Clip] = []
    held: Arrays | None = None
    shape = (0, 0)
    for record in _usable(store, excluded):
        if not clips:
            shape = record.features.shape
            if 2 * len(store) * shape[0] * shape[1] <= memory_bytes:
                held = (
                    np.empty((len(store), *shape), dtype=np.float16),
                    np.empty((len(store), shape[0]), dtype=np.bool_),
                )
        if held:
            held[0][len(clips)], held[1][len(clips)] = record.features, record.mask
        clips.append(Clip.of(record))
    if not clips:
        reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
        raise DatasetError(
            f"nothing to train on in {store.path}: "
            + (f"of its {len(store)} clips, {reasons}. " if reasons else "it is empty. ")
            + "Labels come from folders called real and fake, or from `deepseq extract --labels`."
        )
    video_ids = [clip.video_id for clip in clips]
    features = ArrayFeatures(*held) if held else StoreFeatures(store, video_ids, shape)
    # By name: from memory, a seed gives the same model however the records lie on the disk.
    order = np.array(sorted(range(len(clips)), key=video_ids.__getitem__), dtype=np.int64)
    return SequenceData(tuple(clips[row] for row in order), features, order, excluded)


def _usable(store: FeatureStore, excluded: Counter[str]) -> Iterator[FeatureRecord]:
    """The records to use, in the order of the disk."""
    for record in store.records(store.reading_order):
        if record.failed:
            excluded[f"failed ({record.status})"] += 1
        elif record.label == UNKNOWN:
            excluded["without a label"] += 1
        elif record.frames_valid < MIN_VALID_FRAMES:
            excluded[f"with fewer than {MIN_VALID_FRAMES} frames that show the face"] += 1
        else:
            yield record


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
