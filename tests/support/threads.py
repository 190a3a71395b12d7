"""Limit the threads of linear algebra: many threads that share a small fit wait for each other."""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Let linear algebra use one thread inside the block."""
    import sklearn.linear_model  # noqa: F401  # only threads of loaded libraries can be limited
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
