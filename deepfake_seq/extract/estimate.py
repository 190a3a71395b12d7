"""Estimate of the time and disk space of a long extraction, measured on its first videos."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resume import Outcome
from deepfake_seq.extract.video.decoder_pool import default_workers
from deepfake_seq.store import faces_of
from deepfake_seq.store.shards.index import shard_bytes

MIN_VIDEOS = 101
"""Number of videos from which on an extraction is estimated."""
_MIN_SAMPLE = 20


class Estimate:
    """Counts the first videos of an extraction, and extrapolates from them.

    Args:
        videos: Number of videos, including those that are in the store already.
        store: Folder of the store.
        execution: The settings; more decoding processes need a larger sample, because all of them
            end their first videos at the same time.
    """

    def __init__(self, videos: int, store: Path, execution: ExecutionConfig) -> None:
        self._pending = videos
        self._store = store
        self._bytes_before = _bytes_in(store)
        self._sample = max(_MIN_SAMPLE, 2 * (execution.workers or default_workers()))
        self._done = 0

    def add(self, outcome: Outcome, profile: Profile | None) -> str | None:
        """Count a video; return the estimate as a sentence once enough videos were extracted.

        Args:
            outcome: Outcome of the video.
            profile: Time spent so far, without start-up.
        """
        if outcome.skipped:
            self._pending -= 1
            return None
        self._done += 1
        if profile is None or self._done != self._sample or self._pending < MIN_VIDEOS:
            return None
        seconds = profile.seconds / self._done
        size = (_bytes_in(self._store) - self._bytes_before) / self._done
        return (
            f"estimate: {self._pending:,} videos will take about "
            f"{_duration(seconds * self._pending)}{self._disk(size)}. Measured on {self._done} "
            f"videos in random order: {seconds:.2f} s {f'and {_size(size)} ' if size else ''}per "
            "video."
        )

    def _disk(self, size: float) -> str:
        """Return the part of the sentence on disk space, for this number of bytes per video."""
        if not size:  # machines of a cluster with disks of their own
            return ""
        free = shutil.disk_usage(self._store).free
        is_short = (self._pending - self._done) * size > free
        return (
            f" and {_size(size * self._pending)} of disk space in {self._store} "
            f"({_size(free)} free{', TOO LITTLE' if is_short else ''})"
        )


def mixed(items: Sequence[VideoItem]) -> Sequence[VideoItem]:
    """Return the videos in random order, always the same, so that the first are representative."""
    return random.Random(0).sample(items, len(items))


def _bytes_in(store: Path) -> int:
    return shard_bytes(store) + shard_bytes(faces_of(store))


def _duration(seconds: float) -> str:
    """Return a duration in the two units that matter, such as `2 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _size(size: float) -> str:
    """Return a number of bytes in decimal units, such as `330 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
