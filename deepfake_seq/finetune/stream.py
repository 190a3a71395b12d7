"""Stream batches of training frames from a face cache; only a few clips are in memory at once."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment import Crops, degrade, draw_view, self_blend
from deepfake_seq.config import FinetuneConfig
from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.extract.video.decoder_pool import default_workers
from deepfake_seq.finetune.augmentation import draw_rows, identity_row
from deepfake_seq.finetune.faces import FaceCrops, Images
from deepfake_seq.finetune.network import pad_rows
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.training.class_balance import Balance

_MIXED = 32
"""Number of random clips whose frames are mixed: 137 MB for crops of 299 pixels."""


class FrameBatch(NamedTuple):
    """A batch of training frames; the last batch of an epoch is padded with rows of weight 0.

    Attributes:
        crops_rgb: uint8 (B, S, S, 3); crops.
        draws: float32 (B, 6); augmentation of each crop; see `augmentation.draw_rows`.
        labels: int64 (B,); 1 = fake, 0 = real.
        weights: float32 (B,); weight of each frame in the loss.
    """

    crops_rgb: Images
    draws: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


class ClipVariant(NamedTuple):
    """A training clip, or a self-blended fake made from it.

    Attributes:
        row: Row of the clip in `FaceCrops`.
        name: Name of the clip.
        label: Label of the clip, or `FAKE` for a self-blended fake.
        blend: Number of the self-blended fake, from 1; 0 for the clip itself.
    """

    row: int
    name: str
    label: int
    blend: int


class FrameStream:
    """The frames of the training clips, with a new order and new augmentation in every epoch.

    The contents of an epoch depend only on the seed and the number of the epoch.

    Args:
        faces: Crops of the clips.
        training: Training clips; their rows are rows of `faces`.
        frames: int64 (N,); number of crops of each row of `faces`.
        config: Batch size, augmentation, balance and seed.
    """

    def __init__(
        self,
        faces: FaceCrops,
        training: SequenceData,
        frames: npt.NDArray[np.int64],
        config: FinetuneConfig,
    ) -> None:
        self._faces = faces
        self._config = config
        self._variants = [
            ClipVariant(row, clip.video_id, FAKE if blend else clip.label, blend)
            for clip, row in zip(training.clips, training.rows.tolist(), strict=True)
            for blend in range(1 + (config.augmentation.self_blend if clip.label == REAL else 0))
        ]
        counts = frames[[variant.row for variant in self._variants]]
        labels = np.repeat([variant.label for variant in self._variants], counts)
        self.frames = len(labels)
        methods = ("weights",) if config.balanced else ()
        self.balance = Balance.of(methods, labels)

    @property
    def batches(self) -> int:
        """Number of batches of an epoch."""
        return -(-self.frames // self._config.batch_size)

    def epoch(self, number: int) -> Iterator[FrameBatch]:
        """Yield every frame of every training clip, and of the self-blended fakes, once.

        Args:
            number: Number of the epoch.

        Raises:
            StoreError: A record is damaged.
        """
        generator = np.random.default_rng([self._config.seed, number])
        variants = [self._variants[at] for at in generator.permutation(len(self._variants))]
        size = self._config.batch_size
        remaining: list[_Frames] = []
        for chunk in self._chunks(variants, number):
            frames = _Frames.joined([*remaining, *chunk])
            order = generator.permutation(len(frames))
            full = len(order) - len(order) % size
            for start in range(0, full, size):
                yield self._batch(frames.take(order[start : start + size]))
            remaining = [frames.take(order[full:])]
        if remaining and len(remaining[0]):
            yield self._batch(remaining[0])

    def clips(self) -> Iterator[tuple[int, Images]]:
        """Yield label and crops, uint8 (K, S, S, 3), of every training clip and self-blended fake.

        Degradation is applied to the crops if it is configured; view draws are not.

        Raises:
            StoreError: A record is damaged.
        """
        for chunk in self._chunks(self._variants, 0):
            for frames in chunk:
                yield int(frames.labels[0]), frames.crops_rgb

    def _chunks(self, variants: Sequence[ClipVariant], epoch: int) -> Iterator[list[_Frames]]:
        """Yield some clips at a time, and read the next ones in the background."""
        load = partial(self._load, epoch=epoch)
        ahead: deque[list[Future[_Frames]]] = deque()
        with ThreadPoolExecutor(default_workers(), "faces") as threads:
            try:
                for start in range(0, len(variants), _MIXED):
                    chunk = variants[start : start + _MIXED]
                    ahead.append([threads.submit(load, variant) for variant in chunk])
                    if len(ahead) > 1:
                        yield [future.result() for future in ahead.popleft()]
                for futures in ahead:
                    yield [future.result() for future in futures]
            finally:
                threads.shutdown(cancel_futures=True)

    def _load(self, variant: ClipVariant, epoch: int) -> _Frames:
        """Read the crops of a clip, make the fake if it is one, and draw the augmentation."""
        seed, augmentation = self._config.seed, self._config.augmentation
        # Seeded by name, so that other clips in the cache do not change the augmentation.
        entropy = [seed, epoch, zlib.crc32(variant.name.encode("utf-8", "surrogatepass"))]
        generator = np.random.default_rng([*entropy, variant.blend])
        augmented = augmentation.augments(variant.label)

        def change(crops: Crops) -> list[Images]:
            images = self_blend(crops, generator) if variant.blend else crops.images_rgb
            return degrade(images, augmentation.degrade, generator)

        changes = variant.blend or (augmented and augmentation.degrade)
        crops = self._faces.read(variant.row, change if changes else None)
        row = draw_rows([draw_view(generator)])[0] if augmented else identity_row()
        return _Frames(
            crops,
            np.tile(row, (len(crops), 1)),
            np.full(len(crops), variant.label, dtype=np.int64),
        )

    def _batch(self, frames: _Frames) -> FrameBatch:
        weights = self.balance.weights(frames.labels)
        arrays = (frames.crops_rgb, frames.draws, frames.labels, weights)
        return FrameBatch(*(pad_rows(array, self._config.batch_size) for array in arrays))


@dataclass(frozen=True, eq=False)
class _Frames:
    crops_rgb: Images
    draws: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def joined(cls, several: Sequence[_Frames]) -> _Frames:
        return cls(
            np.concatenate([frames.crops_rgb for frames in several]),
            np.concatenate([frames.draws for frames in several]),
            np.concatenate([frames.labels for frames in several]),
        )

    def take(self, rows: slice | npt.NDArray[np.int64]) -> _Frames:
        return _Frames(self.crops_rgb[rows], self.draws[rows], self.labels[rows])
