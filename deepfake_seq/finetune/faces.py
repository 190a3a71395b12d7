"""Clips of a face cache: their crops as a CNN is shown them, and what it makes of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import StoreError, TrainingError
from deepfake_seq.extract.backbones.runtime import CnnRuntime
from deepfake_seq.extract.backbones.table import Backbone
from deepfake_seq.extract.faces import image_codec, resize_square
from deepfake_seq.extract.records.pending import crops_of
from deepfake_seq.extract.records.views import Crops
from deepfake_seq.extract.video.decoder_pool import default_workers
from deepfake_seq.sequence.data.dataset import Clip, SequenceData, nothing_to_train_on, usable
from deepfake_seq.sequence.data.features import ArrayFeatures, Arrays, Features, Rows
from deepfake_seq.store import FaceStore

Images = npt.NDArray[np.uint8]
Change = Callable[[Crops], list[Images]]

_BLOCK = 8
"""How many clips' crops are in memory at once: 34 MB of 16 of 299 pixels."""

BATCH = 64
"""How many clips `pooled` reads at a time."""


class Faces:
    """The crops of clips, read from a store whenever they are needed; for several threads.

    Args:
        store: The face cache.
        video_ids: The clip of each row.
        size: The side of the CNN's input.
    """

    def __init__(self, store: FaceStore, video_ids: Sequence[str], size: int) -> None:
        self._store = store
        self._video_ids = video_ids
        self._size = size
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._video_ids)

    @property
    def frames(self) -> int:
        """How many crops a clip has at most."""
        return int(self._store.extract_config["sampling"]["frames"])

    def read(self, row: int, change: Change | None = None) -> Images:
        """A clip's crops, uint8 (K, S, S, 3) in RGB, in order of time.

        Args:
            row: The clip.
            change: What is done to the crops, as they were cut, before they are resized.

        Raises:
            StoreError: Its record is damaged; the message names it.
        """
        with self._lock:
            record = self._store[self._video_ids[row]]
        try:
            images = image_codec.decode(record.encoded)
        except StoreError as error:
            raise StoreError(f"{record.video_id}: {error}") from error
        if change:
            images = change(crops_of(record, record.landmarks, images, self._margin))
        return np.stack([resize_square(image, self._size) for image in images])

    @property
    def _margin(self) -> float:
        return float(self._store.extract_config["faces"]["margin"])


class CnnFeatures:
    """See `Features`: what a CNN, as it is at that moment, makes of the crops.

    Args:
        faces: The crops.
        width: D.

    Attributes:
        cnn: Makes the features; None until there is one.
    """

    def __init__(self, faces: Faces, width: int) -> None:
        self.cnn: CnnRuntime | None = None
        self._faces = faces
        self.shape: tuple[int, int, int] = (len(faces), faces.frames, width)

    def read(self, rows: Rows) -> Arrays:
        """See `Features`. In float16, as a feature store would hold them."""
        assert self.cnn, "there is no CNN yet"
        features = np.zeros((len(rows), *self.shape[1:]), dtype=np.float16)
        mask = np.zeros((len(rows), self.shape[1]), dtype=np.bool_)
        with ThreadPoolExecutor(default_workers(), "faces") as threads:
            for start in range(0, len(rows), _BLOCK):
                clips = list(threads.map(self._faces.read, rows[start : start + _BLOCK].tolist()))
                found = self.cnn.features(np.concatenate(clips))
                if not np.abs(found).max() <= np.finfo(np.float16).max:
                    raise TrainingError(
                        "a feature does not fit into the cache's float16: this CNN is no base for "
                        f"features. Received: {np.abs(found).max():g}"
                    )
                ends = np.cumsum([len(crops) for crops in clips])
                for position, own in enumerate(np.split(found, ends[:-1]), start):
                    features[position, : len(own)], mask[position, : len(own)] = own, True
        return features, mask

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """See `Features`."""
        yield from np.array_split(generator.permutation(len(rows)), -(-len(rows) // BATCH))

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        return ArrayFeatures(*self.read(rows)), np.arange(len(rows))


class FaceData(NamedTuple):
    """The clips of a face cache to train on.

    Attributes:
        data: The clips, by id; they have features once there is a CNN.
        faces: Their crops.
        features: Their features.
        frames: int64 (N,); how many crops each has.
    """

    data: SequenceData
    faces: Faces
    features: CnnFeatures
    frames: npt.NDArray[np.int64]


def load_faces(store: FaceStore, row: Backbone) -> FaceData:
    """Every labelled clip that shows enough of the face.

    Args:
        store: The face cache.
        row: What the CNN takes and gives.

    Raises:
        DatasetError: The store holds no such clip.
        StoreError: A record is damaged.
    """
    excluded: Counter[str] = Counter()
    clips = sorted(
        ((Clip.of(record), record.frames_valid) for record in usable(store, excluded)),
        key=lambda own: own[0].video_id,
    )
    if not clips:
        raise nothing_to_train_on(store, excluded)
    faces = Faces(store, [clip.video_id for clip, _ in clips], row.crop_size)
    features = CnnFeatures(faces, row.width)
    rows = np.arange(len(clips))
    data = SequenceData(tuple(clip for clip, _ in clips), features, rows, excluded)
    return FaceData(data, faces, features, np.array([count for _, count in clips], dtype=np.int64))


def pooled(data: SequenceData, on_batch: Callable[[], None] = lambda: None) -> SequenceData:
    """The clips with the mean of their features in place of all: (N, 1, D), held in memory.

    Args:
        data: The clips.
        on_batch: Called after every `BATCH` clips.
    """
    means = []
    for features, mask in data.batches(BATCH):
        rows = features.astype(np.float32) * mask[..., None]
        means.append(rows.sum(axis=1) / mask.sum(axis=1)[:, None])
        on_batch()
    features = np.concatenate(means)[:, None].astype(np.float16)
    mask = np.ones((len(data), 1), dtype=np.bool_)
    return SequenceData(data.clips, ArrayFeatures(features, mask), np.arange(len(data)))
