"""Clips of a face cache: their crops as CNN inputs, and the CNN's features of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from deepfake_seq.sequence.data.clip import require_consistent_labels
from deepfake_seq.sequence.data.dataset import Clip, SequenceData, nothing_to_train_on, usable
from deepfake_seq.sequence.data.features import FEATURES, ArrayFeatures, Arrays, Features, Rows
from deepfake_seq.store import FaceStore
from deepfake_seq.store.faces import store_of

Images = npt.NDArray[np.uint8]
CropChange = Callable[[Crops], list[Images]]

_BLOCK = 8
"""Number of clips whose crops are in memory at once: 34 MB for 16 crops of 299 pixels each."""

BATCH = 64
"""Number of clips that `pool_frames` reads at a time."""


class FaceCrops:
    """The crops of clips, read from a face cache on demand; safe for several threads.

    Args:
        store: Face cache.
        video_ids: Name of the clip of each row.
        size: Side of the CNN's input, in pixels.
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
        """Maximum number of crops of a clip."""
        return int(self._store.extract_config["sampling"]["frames"])

    def read(self, row: int, change: CropChange | None = None) -> Images:
        """Read the crops of a clip, uint8 (K, S, S, 3) RGB, in chronological order.

        Args:
            row: Row of the clip.
            change: Applied to the stored crops before they are resized.

        Raises:
            StoreError: The record is damaged; the message names the clip.
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
    """`Features` that a CNN computes from the crops with its current weights.

    Args:
        faces: Crops of the clips.
        width: Number of features of a crop.

    Attributes:
        cnn: Computes the features; must be set before the first `read`.
    """

    def __init__(self, faces: FaceCrops, width: int) -> None:
        self.cnn: CnnRuntime | None = None
        self._faces = faces
        self.shape: tuple[int, int, int] = (len(faces), faces.frames, width)
        self.blocks: Mapping[str, int] = {FEATURES: width}

    def read(self, rows: Rows) -> Arrays:
        """See `Features`; the features are float16, as in a feature store."""
        assert self.cnn, "`cnn` is not set"
        features = np.zeros((len(rows), *self.shape[1:]), dtype=np.float16)
        mask = np.zeros((len(rows), self.shape[1]), dtype=np.bool_)
        with ThreadPoolExecutor(default_workers(), "faces") as threads:
            for start in range(0, len(rows), _BLOCK):
                clips = list(threads.map(self._faces.read, rows[start : start + _BLOCK].tolist()))
                computed = self.cnn.features(np.concatenate(clips))
                largest = np.abs(computed).max()
                if not largest <= np.finfo(np.float16).max:
                    raise TrainingError(
                        "a feature of this CNN is too large for float16, in which stores keep "
                        f"features. Try another CNN or other weights. Received: {largest:g}"
                    )
                ends = np.cumsum([len(crops) for crops in clips])
                for position, rows_of_clip in enumerate(np.split(computed, ends[:-1]), start):
                    count = len(rows_of_clip)
                    features[position, :count], mask[position, :count] = rows_of_clip, True
        return features, mask

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """See `Features`."""
        yield from np.array_split(generator.permutation(len(rows)), -(-len(rows) // BATCH))

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        return ArrayFeatures(*self.read(rows)), np.arange(len(rows))


class FaceData(NamedTuple):
    """The usable clips of a face cache.

    Attributes:
        data: Clips, sorted by name; their features can be read once `features.cnn` is set.
        faces: Crops of the clips.
        features: Features of the clips.
        frames: int64 (N,); number of crops of each clip.
    """

    data: SequenceData
    faces: FaceCrops
    features: CnnFeatures
    frames: npt.NDArray[np.int64]


def load_faces(store: FaceStore, row: Backbone) -> FaceData:
    """Load all labelled clips that show enough of the face.

    Args:
        store: Face cache.
        row: Input size and number of features of the CNN.

    Raises:
        DatasetError: The face cache has no such clip, or one file has opposite labels.
        StoreError: A record is damaged.
    """
    excluded: Counter[str] = Counter()
    clips = sorted(
        ((Clip.of(record), record.frames_valid) for record in usable(store, excluded)),
        key=lambda entry: entry[0].video_id,
    )
    if not clips:
        raise nothing_to_train_on(store, excluded)
    require_consistent_labels((clip for clip, _ in clips), store_of(store.path))
    faces = FaceCrops(store, [clip.video_id for clip, _ in clips], row.crop_size)
    features = CnnFeatures(faces, row.width)
    rows = np.arange(len(clips))
    data = SequenceData(tuple(clip for clip, _ in clips), features, rows, excluded)
    return FaceData(data, faces, features, np.array([count for _, count in clips], dtype=np.int64))


def pool_frames(data: SequenceData, on_batch: Callable[[], None] = lambda: None) -> SequenceData:
    """Average the features of each clip over its frames: (N, 1, D), in memory.

    Args:
        data: Clips and their features.
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
