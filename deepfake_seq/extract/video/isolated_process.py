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
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
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
DYING_SECONDS = 5.0
"""Time in which a process that closed its connection has ended."""

_PROGRAM = """\
import sys
_, connection, memory_bytes, *sys.path = sys.argv
from deepfake_seq.extract.video import isolated_process
isolated_process.answer_calls(int(connection), int(memory_bytes))
"""


class IsolatedProcess:
    """Calls functions in another process, which is restarted whenever necessary.

    Only one thread may use it at a time.

    Args:
        limits: Limits on the time and memory of one call.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._process: Any = None
        self._connection: Any = None
        self._is_ready = False
        self._closed = threading.Event()

    def start(self) -> None:
        """Start the process without waiting for it; otherwise, the first call starts it.

        Raises:
            VideoError: The process was closed.
            EngineError: It cannot be started.
        """
        if self._closed.is_set():
            raise _death(None)
        self._release()
        try:
            self._connection, theirs = multiprocessing.Pipe()
            with theirs:
                process = self._process_with(theirs.fileno())
        except OSError as error:
            raise EngineError(
                f"a decoding process could not be started: {error.strerror}"
            ) from error
        self._process = process
        self._is_ready = False
        if self._closed.is_set():  # by another thread, which did not see the new process
            self.close()
            raise _death(None)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process and return its result.

        A call that kills its process is repeated once, in a new process; a call that times out is
        not repeated.

        Args:
            function: A function that does not raise, of a module that the process can import: not
                of a script.
            arguments: Its arguments, picklable.

        Raises:
            VideoError: The call timed out, or the process died twice.
            EngineError: A process cannot be started.
        """
        for attempt in range(_ATTEMPTS):
            if self._process is None or self._process.poll() is not None:
                self.start()
            if not self._is_ready and not self._becomes_ready():
                continue
            watch = _Watch(self._limits.seconds or MIN_SECONDS, self._process.kill)
            try:
                self._connection.send((function, arguments))
                while isinstance(
                    value := shared_memory.receive(self._connection), allowance.Notice
                ):
                    watch.update(value)
            except (EOFError, OSError) as error:
                is_late = watch.is_late
                self._end()
                if is_late:
                    raise watch.timeout() from error
                if self._closed.is_set() or attempt + 1 == _ATTEMPTS:
                    raise _death(self._process.returncode) from error
            else:
                if isinstance(value, allowance.OutOfMemory):
                    raise allowance.out_of_memory(value.limit_bytes)
                return value
            finally:
                watch.cancel()
        raise EngineError(
            f"a decoding process could not be started: {_death(self._process.returncode)}"
        )

    def close(self) -> None:
        """Kill the process; a call in progress fails."""
        self._closed.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._release()

    def _process_with(self, connection: int) -> subprocess.Popen[bytes]:
        """Start a process that answers calls on the connection with this file descriptor.

        Forking a process with TensorFlow or OpenVINO threads is not safe. `multiprocessing` would
        import the user's script again, and fail where it does not check `__name__`.
        """
        arguments = [str(connection), str(self._limits.memory_bytes), *sys.path]
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            pass_fds=[connection],
            stdin=subprocess.PIPE,  # closed when this process ends; see `_end_with_main_process`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _release(self) -> None:
        """Close the connection and the pipe to the process, which has ended."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.stdin.close()

    def _end(self) -> None:
        """Wait until the process has ended; kill it if only the connection to it failed."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_SECONDS)
            return
        self._process.kill()
        self._process.wait()

    def _becomes_ready(self) -> bool:
        """Wait until the process is ready for calls; kill it and return False if it is not."""
        try:
            self._is_ready = self._connection.poll(_START_SECONDS) and self._connection.recv()
        except (EOFError, OSError):
            self._is_ready = False
        if not self._is_ready:
            self._process.kill()
            self._process.wait()
        return self._is_ready


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


def answer_calls(descriptor: int, memory_bytes: int) -> None:
    """Run in the other process: answer calls until the main process has ended.

    Args:
        descriptor: File descriptor of the connection.
        memory_bytes: Memory limit; 0 for one that follows the video.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles interrupts
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection: Connection[Any, Any] = Connection(descriptor)
    from deepfake_seq.extract.video import decode  # noqa: F401 - before the limits apply

    allowance.connect(connection, memory_bytes or MIN_MEMORY_BYTES)
    threading.Thread(target=_end_with_main_process, daemon=True).start()
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


def _end_with_main_process() -> None:
    """End this process, even during a call, once the main process, which limits its time, ends."""
    os.read(0, 1)  # nothing is written to it
    os._exit(1)
