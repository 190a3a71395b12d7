"""Decoding in other processes, a bounded number of videos ahead of whoever uses them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from deepfake_seq.config import SamplingConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.video import DecodedVideo, decode

_MOST_WORKERS = 4


def default_workers() -> int:
    """One for each core, at most four: the CNN in the parent needs the rest."""
    return min(os.cpu_count() or 1, _MOST_WORKERS)


def decode_all(
    items: Iterable[VideoItem], config: SamplingConfig, workers: int
) -> Iterator[tuple[VideoItem, DecodedVideo]]:
    """Decode videos in `workers` processes and give them back as they get ready.

    No more than `workers + 1` videos are decoded or waiting at a time, so memory does not grow with
    their number.

    Raises:
        EngineError: A worker process died.
    """
    # Fresh processes: forking one that runs TensorFlow or OpenVINO threads is not safe.
    context = multiprocessing.get_context("spawn")
    queue = iter(items)
    running: dict[Future[DecodedVideo], VideoItem] = {}
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            while True:
                while len(running) <= workers and (item := next(queue, None)) is not None:
                    running[pool.submit(decode, item.path, config)] = item
                if not running:
                    return
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            lost = ", ".join(str(item.path) for item in running.values())
            raise EngineError(
                f"a decoding process died, on one of: {lost}. What was finished is kept; "
                "run again with --workers 1 to find the file."
            ) from error
        finally:
            for future in running:
                future.cancel()
