"""The cores that this process may use, and how many of them linear algebra uses."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_SMALL = 2**18
"""Number of values in a matrix below which one core multiplies it as fast as several."""


def one_core_algebra() -> AbstractContextManager[Any]:
    """Let the linear algebra of NumPy and SciPy use one core inside the block, in all threads."""
    return _libraries().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


def algebra_for(size: int) -> AbstractContextManager[Any]:
    """Let the linear algebra use one core inside the block if the matrices are small.

    On these, several cores wait for each other longer than they compute, especially if other
    programs use them too.

    Args:
        size: Number of values in the largest matrix.
    """
    return one_core_algebra() if size < _SMALL else nullcontext()


@lru_cache(maxsize=1)
def _libraries() -> Any:
    """Find the libraries that can be limited; this takes longer than a small fit."""
    # Only libraries that are loaded are found. NumPy and SciPy (for scikit-learn) have one each.
    import numpy as np  # noqa: F401
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
