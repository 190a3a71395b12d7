"""Frames to train on, batch by batch out of the face cache: never a whole data set in memory."""

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
from deepfake_seq.finetune.faces import Faces, Images
from deepfake_seq.finetune.network import filled_up
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.training.class_balance import Balance

_MIXED = 32
"""From how many clips, taken at random, frames are mixed: 137 MB of crops of 299 pixels."""


class Batch(NamedTuple):
    """Frames to train on. The last rows of an epoch's last batch weigh nothing.

    Attributes:
        crops_rgb: uint8 (B, S, S, 3).
        draws: float32 (B, 6); how each is shown.
        labels: int64 (B,).
        weights: float32 (B,).
    """

    crops_rgb: Images
    draws: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


class Take(NamedTuple):
    """A clip, or a self-blended fake of it, as it is shown in one epoch.

    Attributes:
        row: The clip's in the face cache.
        name: The clip's.
        label: Its own, or `FAKE`.
        blend: Which fake of it, from 1; 0 for the clip itself.
    """

    row: int
    name: str
    label: int
    blend: int


class FrameStream:
    """The frames of the training clips, in another order and shown otherwise in every epoch.

    What an epoch holds follows from the seed and its number alone.

    Args:
        faces: The crops.
        training: The clips; their rows are those of `faces`.
        frames: int64, how many crops each row of `faces` has.
        config: Batches, augmentation, seed.
    """

    def __init__(
        self,
        faces: Faces,
        training: SequenceData,
        frames: npt.NDArray[np.int64],
        config: FinetuneConfig,
    ) -> None:
        self._faces = faces
        self._config = config
        self._takes = [
            Take(row, clip.video_id, FAKE if blend else clip.label, blend)
            for clip, row in zip(training.clips, training.rows.tolist(), strict=True)
            for blend in range(1 + (config.augmentation.self_blend if clip.label == REAL else 0))
        ]
        counts = frames[[take.row for take in self._takes]]
        labels = np.repeat([take.label for take in self._takes], counts)
        self.frames = len(labels)
        ways = ("weights",) if config.balanced else ()
        self.balance = Balance.of(ways, labels)

    @property
    def batches(self) -> int:
        """How many an epoch has."""
        return -(-self.frames // self._config.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Every frame of every training clip once, and those of the fakes that are made of them.

        Args:
            number: Of the epoch.

        Raises:
            StoreError: A record is damaged.
        """
        generator = np.random.default_rng([self._config.seed, number])
        takes = [self._takes[at] for at in generator.permutation(len(self._takes))]
        size = self._config.batch_size
        waiting: list[_Frames] = []
        for chunk in self._chunks(takes, number):
            frames = _Frames.joined([*waiting, *chunk])
            order = generator.permutation(len(frames))
            full = len(order) - len(order) % size
            for start in range(0, full, size):
                yield self._batch(frames.take(order[start : start + size]))
            waiting = [frames.take(order[full:])]
        if waiting and len(waiting[0]):
            yield self._batch(waiting[0])

    def clips(self) -> Iterator[tuple[int, Images]]:
        """Label and crops, uint8 (K, S, S, 3), of every training clip and of fakes made of them.

        They are as they were cut, where no augmentation changes the crops themselves.

        Raises:
            StoreError: A record is damaged.
        """
        for chunk in self._chunks(self._takes, 0):
            for frames in chunk:
                yield int(frames.labels[0]), frames.crops_rgb

    def _chunks(self, takes: Sequence[Take], epoch: int) -> Iterator[list[_Frames]]:
        """Some clips at a time; the next ones are read while these are trained on."""
        show = partial(self._shown, epoch=epoch)
        ahead: deque[list[Future[_Frames]]] = deque()
        with ThreadPoolExecutor(default_workers(), "faces") as threads:
            try:
                for start in range(0, len(takes), _MIXED):
                    chunk = takes[start : start + _MIXED]
                    ahead.append([threads.submit(show, take) for take in chunk])
                    if len(ahead) > 1:
                        yield [future.result() for future in ahead.popleft()]
                for futures in ahead:
                    yield [future.result() for future in futures]
            finally:
                threads.shutdown(cancel_futures=True)

    def _shown(self, take: Take, epoch: int) -> _Frames:
        seed, augmentation = self._config.seed, self._config.augmentation
        # By name, so that other clips in the cache change nothing.
        material = [seed, epoch, zlib.crc32(take.name.encode("utf-8", "surrogatepass"))]
        generator = np.random.default_rng([*material, take.blend])
        augmented = augmentation.augments(take.label)

        def change(crops: Crops) -> list[Images]:
            images = self_blend(crops, generator) if take.blend else crops.images_rgb
            return degrade(images, augmentation.degrade, generator)

        changes = take.blend or (augmented and augmentation.degrade)
        crops = self._faces.read(take.row, change if changes else None)
        row = draw_rows([draw_view(generator)])[0] if augmented else identity_row()
        return _Frames(
            crops,
            np.tile(row, (len(crops), 1)),
            np.full(len(crops), take.label, dtype=np.int64),
        )

    def _batch(self, frames: _Frames) -> Batch:
        weights = self.balance.weights(frames.labels)
        arrays = (frames.crops_rgb, frames.draws, frames.labels, weights)
        return Batch(*(filled_up(array, self._config.batch_size) for array in arrays))


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
            np.concatenate([own.crops_rgb for own in several]),
            np.concatenate([own.draws for own in several]),
            np.concatenate([own.labels for own in several]),
        )

    def take(self, rows: slice | npt.NDArray[np.int64]) -> _Frames:
        return _Frames(self.crops_rgb[rows], self.draws[rows], self.labels[rows])
