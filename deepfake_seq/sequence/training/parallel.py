"""Train several networks at once, each on one core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import TypeVar

from deepfake_seq.cores import cores, one_core_algebra

Result = TypeVar("Result")
Task = Callable[[Callable[[], None]], Result]


class _StoppedError(Exception):
    """Another task failed, so that the result of this one is not needed."""


def run_parallel(tasks: Sequence[Task[Result]]) -> list[Result]:
    """Run tasks in threads; NumPy computes without holding Python's lock.

    Every task uses one core at a time, so that its result does not depend on the number of cores.
    The tasks take turns: if each ran to its end, the last one would often run alone. One more than
    there are cores runs at a time, because one of them often waits for Python's lock.

    Args:
        tasks: Functions that get a function to call from time to time: it lets another task go on,
            and ends the task if another one has failed, or if the user has interrupted the program.

    Returns:
        The results, in the order of the tasks.
    """
    stop, turns = Event(), _Turns(cores() + 1)

    def end_if_stopped() -> None:
        if stop.is_set():
            raise _StoppedError

    def check() -> None:
        turns.pass_on()
        end_if_stopped()

    def run(task: Task[Result]) -> Result:
        turns.wait()
        try:
            end_if_stopped()
            return task(check)
        finally:
            turns.give_up()

    with one_core_algebra(), ThreadPoolExecutor(max(len(tasks), 1)) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()  # raises the error of the first task that fails
        except BaseException:
            stop.set()
            raise
    return [future.result() for future in futures]


class _Turns:
    """Lets a limited number of threads run at a time, in the order in which they ask.

    With a `threading.Semaphore`, a thread that gives up its turn can take it back before another
    wakes up.

    Args:
        places: Number of threads that run at a time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._lock = Lock()
        self._line: deque[Event] = deque()

    def wait(self) -> None:
        """Wait until this thread may run."""
        with self._lock:
            if self._places:
                self._places -= 1
                return
            turn = self._line_up()
        turn.wait()

    def pass_on(self) -> None:
        """Let the thread that has waited longest run, and wait for the next turn."""
        with self._lock:
            turn = self._line_up()
            self._line.popleft().set()  # this thread again if no other is waiting
        turn.wait()

    def give_up(self) -> None:
        """Let the thread that has waited longest run in place of this one."""
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._places += 1

    def _line_up(self) -> Event:
        turn = Event()
        self._line.append(turn)
        return turn
