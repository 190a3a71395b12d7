"""A process that may die, hang or run out of memory without failing more than one call.

Decoders meet files that were made to break them, so they run in separate processes, with a limit on
memory and time, and without the deep-learning frameworks of the parent. The pool of
`concurrent.futures` breaks when one of its processes dies; here the process is replaced.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from deepfake_seq.config import LimitsConfig
from deepfake_seq.config.execution import (
    MAX_SECONDS,
    MIN_MEMORY_BYTES,
    MIN_SECONDS,
    SECONDS_FACT,
)
from deepfake_seq.errors import EngineError, VideoError
from deepfake_seq.extract.video import allowance, shared_memory
from deepfake_seq.extract.video.failures import is_out_of_memory

_ATTEMPTS = 2
_START_SECONDS = 60.0


class IsolatedProcess:
    """Calls functions in another process, which is restarted whenever necessary.

    Only one thread may use it at a time.

    Args:
        limits: Limits on the time and memory of one call.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        # Spawned, because forking a process with TensorFlow or OpenVINO threads is not safe.
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._connection: Any = None
        self._closed = threading.Event()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process and return its result.

        A call that kills its process is repeated once, in a new process; a call that times out is
        not repeated.

        Args:
            function: A picklable function that does not raise.
            arguments: Its arguments, picklable.

        Raises:
            VideoError: The call timed out, or the process died twice.
            EngineError: A process cannot be started.
        """
        for attempt in range(_ATTEMPTS):
            if self._process is None or not self._process.is_alive():
                self._start()
            watch = _Watch(self._limits.seconds or MIN_SECONDS, self._process.kill)
            try:
                self._connection.send((function, arguments))
                while isinstance(
                    value := shared_memory.receive(self._connection), allowance.Notice
                ):
                    watch.update(value)
            except (EOFError, OSError) as error:
                self._process.join()
                if watch.is_late:
                    raise watch.timeout() from error
                if self._closed.is_set() or attempt + 1 == _ATTEMPTS:
                    raise _death(self._process.exitcode) from error
            else:
                if isinstance(value, allowance.OutOfMemory):
                    raise allowance.out_of_memory(value.limit_bytes)
                return value
            finally:
                watch.cancel()
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Kill the process; a call in progress fails."""
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
        if self._closed.is_set():  # by another thread, which did not see the new process
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


class _Watch:
    """Kills a process that takes too long.

    Args:
        seconds: Time limit.
        kill: Called when the time is over.

    Attributes:
        is_late: Whether the time is over.
    """

    def __init__(self, seconds: float, kill: Callable[[], None]) -> None:
        self.is_late = False
        self._seconds = seconds
        self._kill = kill
        self._share = 0.0
        self._start = time.monotonic()
        self._timer = self._started()

    def update(self, notice: allowance.Notice) -> None:
        """Note how much is done, and extend the time limit if requested."""
        self._share = max(self._share, notice.share)
        if notice.seconds is not None and self._seconds < notice.seconds <= MAX_SECONDS:
            self._timer.cancel()
            self._seconds = notice.seconds
            self._timer = self._started()

    def cancel(self) -> None:
        """Do not kill the process any more."""
        self._timer.cancel()

    def timeout(self) -> VideoError:
        """Return the error of a video that took too long, with a time limit that would do."""
        # Half as much again, because the rest of a video may be slower.
        needed = 1.5 * self._seconds / self._share if self._share > 0.01 else 10 * self._seconds
        step = 60 if needed > 60 else 10
        advised = min(step * math.ceil(needed / step), MAX_SECONDS)
        advice = f"; try --timeout {advised:g}" if advised > self._seconds else ""
        return VideoError(
            "timeout",
            f"decoding took longer than {self._seconds:g} s{advice}",
            facts={SECONDS_FACT: self._seconds},
        )

    def _started(self) -> threading.Timer:
        elapsed = time.monotonic() - self._start
        timer = threading.Timer(max(self._seconds - elapsed, 0), self._expire)
        timer.start()
        return timer

    def _expire(self) -> None:
        self.is_late = True
        self._kill()


def _death(exit_code: int | None) -> VideoError:
    if exit_code is not None and exit_code < 0:
        how = f"was killed by {signal.Signals(-exit_code).name}"
    else:
        how = f"ended with exit code {exit_code}"
    # SIGKILL without a timeout comes from the operating system when memory runs out.
    transient = exit_code is None or exit_code == -signal.SIGKILL
    return VideoError("decode_error", f"the decoding process {how}, twice", transient=transient)


def _serve(connection: Connection, memory_bytes: int) -> None:
    """Run in the other process: answer calls until the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles interrupts
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    from deepfake_seq.extract.video import decode  # noqa: F401 - before the limits apply

    allowance.connect(connection, memory_bytes or MIN_MEMORY_BYTES)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(True)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            shared_memory.send(connection, function(*arguments))
        except (MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            shared_memory.send(connection, allowance.OutOfMemory(allowance.memory_limit()))


def _end_with_parent() -> None:
    """End this process, even during a call, once its parent, which limits its time, has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
