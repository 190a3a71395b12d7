"""Gives clips to the worker process, and replaces the process when it dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from multiprocessing import connection as connections
from pathlib import Path
from typing import Any

from deepfake_seq.errors import DeepseqError
from deepfake_seq.sequence.runs import run
from deepfake_seq.serve.jobs import DONE, FAILED, QUEUED, RUNNING, ClipJob, JobTable
from deepfake_seq.serve.spool import Spool
from deepfake_seq.serve.worker import (
    ClassifiedClip,
    PredictorConfig,
    Task,
    TaskReport,
    work,
)
from deepfake_seq.verdict import CRASH, INCONCLUSIVE, Verdict
from deepfake_seq.verdict_text import headline, in_plain_words

_LOG = logging.getLogger(__name__)

_MAX_SENT = 8
"""Number of clips that the worker has at a time; the others stay in the queue of the server."""

_MAX_DEATHS = 2
_WAIT_SECONDS = 1.0
_END_SECONDS = 5.0


class Dispatcher:
    """Classifies the clips of a table in another process; a context manager with a thread.

    If the process dies, clips that it had begun are begun again one by one, so that it is known
    which one kills it. That clip gets an inconclusive verdict.

    Args:
        jobs: The clips.
        spool: Folder of the clips.
        config: How clips are classified.
        keep_seconds: Time for which results are kept.
        preload: Run to load before the first clip arrives, if any.

    Attributes:
        has_failed: Whether the thread ended because of an error, such as lack of memory.
    """

    def __init__(
        self,
        jobs: JobTable,
        spool: Spool,
        config: PredictorConfig,
        keep_seconds: float,
        preload: Path | None = None,
    ) -> None:
        self.has_failed = False
        self._jobs = jobs
        self._spool = spool
        self._config = config
        self._keep_seconds = keep_seconds
        self._preload = preload
        self._woken, self._wake = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self._wake.fileno(), False)
        self._stop_at: float | None = None
        self._sent: dict[str, ClipJob] = {}
        self._idle_deaths = 0
        self._process: Any = None
        self._connection: Any = None
        jobs.on_change = self.wake
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Start the process and the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look for new clips now; return at once, also in the dispatcher's own thread."""
        with suppress(OSError):  # full: the thread will look anyway; closed: it has ended
            self._wake.send(None)

    def stop(self, seconds: float) -> None:
        """Start no more clips, wait at most so long for those in progress, and end the process."""
        self._stop_at = time.monotonic() + seconds
        self.wake()
        self._thread.join()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        try:
            self._dispatch()
        except BaseException:
            self.has_failed = True
            raise
        finally:
            self._end_process()

    def _dispatch(self) -> None:
        self._start_process()
        while not self._is_stopped():
            self._send_queued()
            ready = connections.wait(
                [self._woken, self._connection, self._process.sentinel], _WAIT_SECONDS
            )
            while self._woken in ready and self._woken.poll(0):
                self._woken.recv()
            if not self._receive():
                self._replace_process()
            self._jobs.remove_old(self._keep_seconds)

    def _is_stopped(self) -> bool:
        if self._stop_at is None:
            return False
        return not self._sent or time.monotonic() >= self._stop_at

    def _send_queued(self) -> None:
        """Send clips to the worker while it has room; a clip that it died on is sent alone."""
        if self._stop_at is not None:
            return
        for job in self._jobs.queued():
            alone = job.deaths or any(sent.deaths for sent in self._sent.values())
            if len(self._sent) >= (1 if alone else _MAX_SENT):
                return
            if job.id not in self._sent:
                self._sent[job.id] = job
                self._send(Task(Path(job.run), self._spool.clip(job.id), job.name))

    def _send(self, task: Task) -> None:
        try:
            self._connection.send(task)
        except OSError:  # it has died, which `_receive` will notice
            return

    def _receive(self) -> bool:
        """Handle all notices of the worker; return whether it is alive."""
        is_alive = bool(self._process.is_alive())  # before its last notices are read
        try:
            while self._connection.poll(0):
                self._handle(self._connection.recv())
        except (EOFError, OSError):
            return False
        return is_alive

    def _handle(self, notice: TaskReport) -> None:
        self._idle_deaths = 0
        if notice.clip is None:
            _LOG.warning("%s", notice.error)
            return
        name = notice.clip.stem
        if notice.stage:
            known = _values(notice.result) if notice.result else {}
            self._jobs.update(name, state=RUNNING, stage=notice.stage, **known)
            return
        job = self._sent.pop(name)
        if notice.result is None:
            self._jobs.finish(name, state=FAILED, error=notice.error)
        else:
            result = notice.result
            self._jobs.finish(job.id, result.report, state=DONE, **_values(result))

    def _replace_process(self) -> None:
        """Start another process after one has died, and decide what becomes of its clips."""
        self._process.join()
        how = _end_of(self._process.exitcode)
        sent, self._sent = self._sent, {}
        began = False
        for name, job in sent.items():
            current = self._jobs.get(name)
            if current is None or current.state != RUNNING:
                continue
            began = True
            if current.result is not None:  # it died while it explained the verdict
                self._jobs.finish(name, state=DONE)
            elif job.deaths + 1 >= _MAX_DEATHS:
                self._give_up(job, how)
            else:
                self._jobs.update(name, state=QUEUED, stage="", deaths=job.deaths + 1)
        _LOG.warning("the worker process %s; starting another one", how)
        if not began:
            self._idle_deaths += 1
            if self._idle_deaths >= _MAX_DEATHS:
                for job in self._jobs.queued():
                    self._jobs.finish(
                        job.id, state=FAILED, error=f"the worker process {how} before it began"
                    )
                time.sleep(_WAIT_SECONDS)
        self._connection.close()
        self._start_process()

    def _give_up(self, job: ClipJob, how: str) -> None:
        """Give a clip that kills the worker an inconclusive verdict."""
        folder = Path(job.run)
        try:
            description = run.describe(folder)
        except DeepseqError as error:
            self._jobs.finish(job.id, state=FAILED, error=str(error))
            return
        decision = description.decision
        verdict = Verdict(
            path=job.name,
            verdict=INCONCLUSIVE,
            score=None,
            threshold=decision.threshold,
            decision=decision,
            data=description.data,
            frames_used=0,
            frames_sampled=0,
            reason=f"{CRASH}: the worker process {how} while it classified this clip, twice",
            run=str(folder),
            cause=CRASH,
        )
        words = headline(verdict, None), in_plain_words(verdict, None)
        self._jobs.finish(job.id, state=DONE, **_values(ClassifiedClip(verdict, *words)))

    def _start_process(self) -> None:
        # Spawned, because forking a process with threads is not safe. Not a daemon, because it
        # starts decoding processes; it ends when its connection does.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._config), name="deepseq worker")
        with theirs:
            process.start()
        self._process = process
        if self._preload is not None:
            self._send(Task(self._preload))

    def _end_process(self) -> None:
        if self._process is None:
            return
        self._connection.close()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _values(result: ClassifiedClip) -> dict[str, Any]:
    """Return the attributes of a job that a result determines."""
    return {
        "result": asdict(result.verdict),
        "headline": result.headline,
        "explanation": result.sentences,
    }


def _end_of(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
