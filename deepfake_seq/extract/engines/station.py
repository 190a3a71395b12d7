"""What runs on each machine of a cluster: the machine, its worker, and word of what they do.

Nothing here knows what carries the words to and fro.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from deepfake_seq import __version__, weights
from deepfake_seq.errors import DeepseqError, EngineError, StoreError
from deepfake_seq.extract.cache import Cache
from deepfake_seq.extract.decoders import default_workers
from deepfake_seq.extract.engines.base import Job
from deepfake_seq.extract.machine import Machine
from deepfake_seq.extract.profiling import Snapshot
from deepfake_seq.extract.resolve import ResolvedConfig, resolve, resolve_cached
from deepfake_seq.extract.resume import Outcome, Todo
from deepfake_seq.extract.worker import Worker
from deepfake_seq.store import FaceStore
from deepfake_seq.store.locks import dead_writers

_LOGGER = logging.getLogger("deepfake_seq")
_LONGEST_SECONDS = 1.0
"""How long a report is waited for; what is waited for longer cannot be told to stop."""
_SHORTEST_SECONDS = 0.2
"""How long outcomes are gathered, so that many small videos make no more than some reports."""
_CLOSING_SECONDS = 10.0


@dataclass(frozen=True)
class Orders:
    """What every machine is told at first.

    Attributes:
        job: What there is to do.
        out: Where every machine has its store; where they share a disk, it is one.
        mark: A folder in the store of whoever gives the orders, that only he has.
        version: Of his code.
    """

    job: Job
    out: Path
    mark: Path
    version: str = __version__


class Problem(NamedTuple):
    """Why a machine cannot go on.

    Attributes:
        kind: The error, if it is an expected one.
        message: What it says.
        traceback: Where it came from.
    """

    kind: type[DeepseqError] | None
    message: str
    traceback: str

    def on(self, machine: str) -> Exception:
        """The error, to be raised elsewhere; an expected one is of its kind, others are bugs."""
        error = (self.kind or RuntimeError)(f"{machine}: {self.message}")
        error.add_note(f"On {machine}:\n{self.traceback}")
        return error


class Ready(NamedTuple):
    """A machine can be given videos.

    Attributes:
        depth: How many it works on at a time.
        shares_disk: Whether its store is that of whoever gives the orders.
    """

    depth: int
    shares_disk: bool


class Report(NamedTuple):
    """What a machine has done since its last report.

    Attributes:
        outcomes: What became of videos.
        profile: Where its time went, from the start.
        log: What it has to say, each with its level.
        ready: Once, when it is.
        problem: Why it cannot go on, if so.
    """

    outcomes: list[Outcome]
    profile: Snapshot | None
    log: list[tuple[int, str]]
    ready: Ready | None = None
    problem: Problem | None = None


class Station:
    """Extracts on one machine what it is told to, and reports.

    Args:
        orders: What to do.
        cpus: How many of the machine's processors it may use.
    """

    def __init__(self, orders: Orders, cpus: int) -> None:
        self._orders = orders
        self._cpus = cpus
        self._shares_disk = orders.mark.is_dir()
        self._stack = ExitStack()
        self._change = threading.Condition()
        self._todos: deque[Todo] = deque()
        self._outcomes: list[Outcome] = []
        self._unsettled = 0
        self._problem: Problem | None = None
        self._ends = False
        self._reported = 0.0
        self._log = _Log()
        self._thread: threading.Thread | None = None

    def open(self) -> Report:
        """Load everything."""
        self._stack.enter_context(self._log)
        job, out = self._orders.job, self._orders.out
        try:
            _require_version(self._orders.version)
            self._require_locks()
            resolved = _resolved_here(job.resolved)
            workers = job.execution.workers or min(self._cpus, default_workers())
            execution = replace(job.execution, workers=workers)
            self._machine = self._stack.enter_context(
                Machine.build(resolved, execution, job.videos)
            )
            self._cache = self._stack.enter_context(Cache.create(out, resolved))
        except Exception as error:  # noqa: BLE001 - it is told, with all that is known of it
            return Report([], None, self._log.take(), problem=_problem(error))
        self._worker = Worker(self._machine, self._cache, resolved, retry_failed=job.retry_failed)
        self._thread = threading.Thread(target=self._work, name="station", daemon=True)
        self._thread.start()
        ready = Ready(self._machine.depth, self._shares_disk)
        return Report([], self._machine.profile.snapshot(), self._log.take(), ready)

    def exchange(self, todos: Sequence[Todo]) -> Report:
        """Take more videos, and tell what became of others as soon as there is something to tell.

        Every video that was taken has one outcome in one of the reports, unless there is a problem.
        """
        with self._change:
            self._todos.extend(todos)
            self._unsettled += len(todos)
            self._change.notify_all()
            self._change.wait_for(lambda: self._outcomes or self._is_idle, _LONGEST_SECONDS)
            early = self._reported + _SHORTEST_SECONDS - time.monotonic()
            if early > 0:
                self._change.wait_for(lambda: self._is_idle, early)
            self._reported = time.monotonic()
            outcomes, self._outcomes = self._outcomes, []
            snapshot = self._machine.profile.snapshot()
            return Report(outcomes, snapshot, self._log.take(), problem=self._problem)

    def close(self) -> None:
        """Stop, whatever is under way, and give back what is held."""
        with self._change:
            self._ends = True
            self._change.notify_all()
        if self._thread:
            self._thread.join(_CLOSING_SECONDS)
            if not self._shares_disk:
                self._cache.seal()  # where they share one, whoever gives the orders does it
        self._stack.close()

    @property
    def _is_idle(self) -> bool:
        return not self._unsettled or self._problem is not None

    def _work(self) -> None:
        try:
            while self._wait():
                with closing(self._worker.extract(self._taken())) as outcomes:
                    for outcome in outcomes:
                        self._tell(outcome)
                        if self._ends:
                            return
        except Exception as error:  # noqa: BLE001 - it is told, with all that is known of it
            with self._change:
                self._problem = _problem(error)
                self._change.notify_all()

    def _wait(self) -> bool:
        with self._change:
            self._change.wait_for(lambda: self._todos or self._ends)
            return not self._ends

    def _taken(self) -> Iterator[Todo]:
        while self._todos and not self._ends:
            yield self._todos.popleft()

    def _tell(self, outcome: Outcome) -> None:
        with self._change:
            self._outcomes.append(outcome)
            self._unsettled -= 1
            self._change.notify_all()

    def _require_locks(self) -> None:
        mark = self._orders.mark
        if self._shares_disk and mark.name in dead_writers(mark.parent):
            raise StoreError(
                f"locks on {mark.parent} do not hold between machines, so two could write the same "
                "video. Mount it with locks, or give an --out on each machine's own disk."
            )


def _require_version(version: str) -> None:
    if version != __version__:
        raise EngineError(f"deepseq {__version__} is installed there, {version} here")


def _resolved_here(elsewhere: ResolvedConfig) -> ResolvedConfig:
    """Find on this machine what was found on another one.

    Raises:
        EngineError: The features would be others.
        DeepseqError: Something is missing.
    """
    config, fields, extras = elsewhere.config, elsewhere.fingerprint.fields, elsewhere.extras
    faces, backbone = config.faces, config.backbone
    if backbone.uses_file:
        backbone = replace(backbone, weights=_found_here(backbone.weights, fields["backbone"]))
    if elsewhere.face_cache:
        resolved = resolve_cached(FaceStore.open(elsewhere.face_cache), backbone, extras)
    else:
        if faces.detector_weights is not None:
            path = _found_here(faces.detector_weights, fields["faces"])
            faces = replace(faces, detector_weights=path)
        resolved = resolve(replace(config, faces=faces, backbone=backbone), extras)
    differences = resolved.fingerprint.differences(elsewhere.fingerprint)
    if differences:
        raise EngineError(f"it would make other features: {'; '.join(differences)}")
    return resolved


def _found_here(path: str, section: dict[str, Any]) -> str:
    """Where a weights file is that was given by its path on another machine."""
    if Path(path).is_file():
        return path
    return str(weights.find_given(section["weights_sha256"]) or path)


def _problem(error: Exception) -> Problem:
    expected = isinstance(error, DeepseqError)
    message = str(error) if expected else f"{type(error).__name__}: {error}"
    text = "".join(traceback.format_exception(error))
    return Problem(type(error) if isinstance(error, DeepseqError) else None, message, text)


class _Log(logging.Handler):
    """Keeps what the package has to say until it is taken."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[tuple[int, str]] = deque(maxlen=1000)

    def __enter__(self) -> None:
        self._level = _LOGGER.level
        _LOGGER.setLevel(logging.INFO)
        _LOGGER.addHandler(self)

    def __exit__(self, *_: object) -> None:
        _LOGGER.removeHandler(self)
        _LOGGER.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._lines.append((record.levelno, record.getMessage()))

    def take(self) -> list[tuple[int, str]]:
        """What was said since this was last asked."""
        return [self._lines.popleft() for _ in range(len(self._lines))]
