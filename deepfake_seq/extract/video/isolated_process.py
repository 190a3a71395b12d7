"""One process that may die, hang or run out of memory, and what that costs: one call.

Decoders meet files that were made to break them. So they run in a process of their own, with an
address-space limit and against the clock, and without the deep-learning frameworks of the parent.
A pool such as `concurrent.futures` has ends with its first dying process; here it is replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from deepfake_seq.config import LimitsConfig
from deepfake_seq.errors import EngineError, VideoError
from deepfake_seq.extract.video import shared_memory

_ATTEMPTS = 2
_START_SECONDS = 60.0


class IsolatedProcess:
    """Calls functions in another process, which is started again whenever it is needed.

    Not for several threads at once.

    Args:
        limits: What one call may cost.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        # Fresh processes: forking one that runs TensorFlow or OpenVINO threads is not safe.
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._connection: Any = None
        self._closed = threading.Event()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function` returns there; both must be picklable, and it must not raise.

        A call that kills its process is tried once more, in a fresh one; a call that takes too long
        is not.

        Raises:
            VideoError: The time ran out, or the process died twice.
            EngineError: No process can be started.
        """
        for attempt in range(_ATTEMPTS):
            if self._process is None or not self._process.is_alive():
                self._start()
            late = threading.Event()
            watch = threading.Timer(self._limits.seconds, self._kill, [late])
            watch.start()
            try:
                self._connection.send((function, arguments))
                return shared_memory.receive(self._connection)
            except (EOFError, OSError) as error:
                self._process.join()
                if late.is_set():
                    raise VideoError(
                        "timeout", f"decoding took longer than {self._limits.seconds:g} s"
                    ) from error
                if self._closed.is_set() or attempt + 1 == _ATTEMPTS:
                    raise _death(self._process.exitcode) from error
            finally:
                watch.cancel()
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed.set()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()

    def _start(self) -> None:
        if self._closed.is_set():
            raise _death(None)
        if self._connection is not None:
            self._connection.close()
        try:
            self._connection, theirs = self._context.Pipe()
            with theirs:
                process = self._context.Process(
                    target=_serve, args=(theirs, self._limits.memory_bytes), daemon=True
                )
                process.start()
        except OSError as error:
            raise EngineError(
                f"a decoding process could not be started: {error.strerror}"
            ) from error
        self._process = process
        if self._closed.is_set():  # meanwhile, by another thread, which did not see this process
            self.close()
            raise _death(None)
        try:
            ready = self._connection.poll(_START_SECONDS) and self._connection.recv()
        except EOFError:
            ready = False
        if not ready:
            self._process.kill()
            self._process.join()
            raise EngineError(
                f"a decoding process could not be started: {_death(self._process.exitcode)}"
            )

    def _kill(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()


def _death(exit_code: int | None) -> VideoError:
    if exit_code is not None and exit_code < 0:
        how = f"was ended by {signal.Signals(-exit_code).name}"
    else:
        how = f"ended with exit code {exit_code}"
    # Whoever kills processes without a word is the system, when memory runs out.
    transient = exit_code is None or exit_code == -signal.SIGKILL
    return VideoError("decode_error", f"the decoding process {how}, twice", transient=transient)


def _serve(connection: Connection, memory_bytes: int) -> None:
    """The other process: answer calls until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    from deepfake_seq.extract.video import decode  # noqa: F401 - before the limit, and before the clock

    _limit_memory(memory_bytes)
    connection.send(True)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        shared_memory.send(connection, function(*arguments))


def _limit_memory(memory_bytes: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        memory_bytes = min(memory_bytes, most)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, most))
    except (OSError, ValueError):  # macOS knows the limit by name only
        return
