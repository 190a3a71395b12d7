"""Transfer of values with arrays between processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfake_seq.config import LimitsConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import shared_memory
from deepfake_seq.extract.video.isolated_process import IsolatedProcess


def there_and_back(value: Any) -> Any:
    ours, theirs = multiprocessing.Pipe()
    sender = threading.Thread(target=shared_memory.send, args=(theirs, value))
    sender.start()
    received = shared_memory.receive(ours)
    sender.join()
    ours.close()
    theirs.close()
    return received


@pytest.mark.parametrize(
    "shape", [(0,), (1,), (3, 0, 2), (63,), (16, 100, 100, 3)], ids=lambda shape: str(shape)
)
def test_received_arrays_are_equal_and_writable(shape: tuple[int, ...]) -> None:
    first = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    second = np.arange(5.0)
    found_first, found_second, text = there_and_back((first, second, "text"))
    np.testing.assert_array_equal(found_first, first)
    np.testing.assert_array_equal(found_second, second)
    assert text == "text"
    found_first += 1
    np.testing.assert_array_equal(found_first, first + 1)


def test_values_without_arrays_are_received() -> None:
    assert there_and_back({"a": [1, None]}) == {"a": [1, None]}


def test_one_array_of_many_can_be_kept() -> None:
    kept = [there_and_back(np.full((100, 1000), number))[0, :2] for number in range(20)]
    assert [own.tolist() for own in kept] == [[number] * 2 for number in range(20)]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def maps() -> int:
    return Path("/proc/self/maps").read_text().count("deepseq")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system has no /proc")
def test_no_file_or_memory_is_left_open() -> None:
    there_and_back(np.zeros(100_000))
    gc.collect()  # files in reference cycles of other tests
    before = descriptors()
    for _ in range(20):
        value = there_and_back(np.zeros(100_000))
        assert maps() == 1
        del value
    assert (descriptors(), maps()) == (before, 0)


def frames(count: int) -> np.ndarray:
    return np.ones((count, 1 << 20), dtype=np.uint8)


def die_while_sending(count: int) -> Any:
    class Deadly:
        def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
            os._exit(5)

    return [frames(count), Deadly()]


def test_a_process_that_dies_while_sending_raises() -> None:
    process = IsolatedProcess(LimitsConfig())
    assert process.call(frames, 3).sum() == 3 << 20
    with pytest.raises(VideoError, match="exit code 5"):
        process.call(die_while_sending, 3)
    assert process.call(frames, 2).sum() == 2 << 20
    process.close()
