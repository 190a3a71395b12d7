"""Wait for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 300.0

Value = TypeVar("Value")


def until(condition: Callable[[], Value], what: str = "it is true") -> Value:
    """Wait until a condition is true, and return its value; fail if that takes too long.

    Args:
        condition: The condition.
        what: What is waited for.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.02)
    return value
