"""Extraction on a Ray cluster.

Ray places worker processes on nodes. Each process extracts one chunk of videos after the other and
commits the records itself. Processes that do not fit on a node yet are pending at Ray, where an
autoscaler sees them as demand.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from deepfake_seq.errors import DeepseqError, EngineError
from deepfake_seq.extract.engines import cluster
from deepfake_seq.extract.engines.base import Engine, Job
from deepfake_seq.extract.engines.chunks import MAX_FAILURES, Chunk, ChunkQueue
from deepfake_seq.extract.engines.remote import Progress, WorkerConfig
from deepfake_seq.extract.profiling import SummedProfile
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.worker import record_failure

_LOG = logging.getLogger(__name__)

_VIDEOS_PER_CPU = 64
"""Maximum number of videos per processor in a chunk: minutes of work, as lanes idle at its end."""
_MAX_PENDING = 100
_MAX_DEATHS = 3
"""Number of processes that may die in a row on one node before any finishes a video."""
_NODE_CHECK_SECONDS = 2.0
_POLL_SECONDS = 1.0
_WARN_SECONDS = 60.0
_CLOSING_SECONDS = 15.0


@dataclass(eq=False)
class _Process:
    """The driver's view of a worker process.

    Attributes:
        actor: Ray's handle.
        call: The last call to it; None if it is idle.
        node_id: Its node; "" while it is pending.
        node: The node's name in messages.
        shares_disk: Whether it writes to the driver's store; None until it is loaded.
        chunk: The videos that it is extracting.
    """

    actor: Any
    call: Any
    node_id: str = ""
    node: str = "a pending process"
    shares_disk: bool | None = None
    chunk: Chunk = field(default_factory=lambda: Chunk({}))


class RayEngine(Engine):
    """See `Engine`.

    Args:
        job: The settings of the run.
        writer: Writes to the driver's store.
        patience_seconds: How long to wait for a node once no usable node is left.

    Raises:
        EngineError: Ray is not installed, or the cluster cannot be reached.
        UsageError: The address of the cluster is malformed.
    """

    def __init__(self, job: Job, writer: ResumableWriter, patience_seconds: float = 300.0) -> None:
        self.profile = SummedProfile()
        self._writer = writer
        self._patience_seconds = patience_seconds
        self._processes: list[_Process] = []
        self._idle_actors: list[Any] = []
        self._excluded: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()
        self._on_other_disks: Counter[str] = Counter()
        with ExitStack() as stack:
            stack.enter_context(cluster.connected(job.execution.address))
            self._share = cluster.share_of_process(job.execution.runtime)
            store = writer.writers.features
            mark = store.initialise().absolute()
            self._stack = stack.pop_all()
        self._config = WorkerConfig(job, store.path.absolute(), mark, self._share.cpus)
        self._queue = ChunkQueue(self._share.cpus, _VIDEOS_PER_CPU * self._share.cpus)

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._close()
        if self._on_other_disks:
            _LOG.warning(
                "%d records are on the disks of %s, in %s. Copy each of these folders to this "
                "machine, then merge them: `deepseq merge FOLDER... --out STORE`",
                self._on_other_disks.total(),
                ", ".join(sorted(self._on_other_disks)),
                self._config.out,
            )

    def run(self, pending: Sequence[PendingVideo]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        # Workers may have another working directory.
        self._queue.add(
            [
                video._replace(item=replace(video.item, path=video.item.absolute))
                for video in pending
            ]
        )
        self._checked_at = -math.inf
        self._had_room_at = self._had_process_at = time.monotonic()
        try:
            while self._queue.waiting or any(process.chunk.videos for process in self._processes):
                self._check_nodes()
                self._assign_chunks()
                self._request_processes()
                for process in self._ready_processes():
                    yield from self._handle_report(process)
        finally:
            self.profile.stop()

    def _check_nodes(self) -> None:
        """Count the processes that fit on the nodes; fail if there has been none for too long."""
        now = time.monotonic()
        if now - self._checked_at < _NODE_CHECK_SECONDS:
            return
        self._checked_at = now
        room = cluster.processes_per_node(self._share)
        self._room = sum(count for node, count in room.items() if node not in self._excluded)
        if self._room:
            self._had_room_at = now
        elif now - self._had_room_at > self._patience_seconds:
            reasons = f" ({'; '.join(sorted(self._excluded.values()))})" if self._excluded else ""
            raise EngineError(
                f"no machine with {self._share.cpus} or more processors is left{reasons}, and none "
                f"was added for {self._patience_seconds:g} s. `ray start --address HOST:PORT` adds "
                "one. Committed records are kept: run the same command again to continue."
            )
        if any(process.node_id for process in self._processes):
            self._had_process_at = now
        elif now - self._had_process_at > _WARN_SECONDS:
            self._had_process_at = math.inf
            _LOG.warning("waiting for a machine with free processors (see `ray status`)")

    def _assign_chunks(self) -> None:
        """Give chunks to idle processes."""
        for process in self._processes:
            if process.call is None and self._queue.waiting:
                process.chunk = self._queue.take(max(self._placed, self._room))
                videos = list(process.chunk.videos.values())
                process.call = process.actor.extract.remote(videos)

    @property
    def _placed(self) -> int:
        return sum(bool(process.node_id) for process in self._processes)

    def _request_processes(self) -> None:
        """Keep as many processes pending as the nodes have room for, or as chunks are waiting."""
        pending = [process for process in self._processes if not process.node_id]
        free = self._placed - sum(bool(process.chunk.videos) for process in self._processes)
        useful = max(self._room - self._placed, self._queue.chunks_waiting - free)
        wanted = max(min(self._queue.waiting, useful, _MAX_PENDING), 0)
        for _ in range(wanted - len(pending)):
            actor = cluster.start_worker(self._share)
            self._processes.append(_Process(actor, actor.node.remote()))
        for process in pending[wanted:]:
            self._processes.remove(process)
            cluster.kill(process.actor)

    def _ready_processes(self) -> list[_Process]:
        """Return the processes that have something to report; wait up to a second for one."""
        calls = [process.call for process in self._processes if process.call is not None]
        if not calls:
            time.sleep(_POLL_SECONDS)
            return []
        ready = cluster.wait(calls, _POLL_SECONDS)
        return [process for process in self._processes if process.call in ready]

    def _handle_report(self, process: _Process) -> Iterator[Outcome]:
        """Handle the report of a process, and start its next step."""
        try:
            reply = cluster.reply(process.call, process.node)
        except cluster.LostError as error:
            yield from self._handle_loss(process, str(error))
            return
        except (DeepseqError, RuntimeError) as error:
            if process.shares_disk is not None:
                raise
            self._exclude(process.node_id, str(error))
            self._keep_idle(process)
            return
        if not process.node_id:
            process.node_id, host = reply
            process.node = f"{host} ({process.node_id[:6]})"
            if process.node_id in self._excluded:
                self._keep_idle(process)
            else:
                process.call = cluster.load(process.actor, self._config)
        elif process.shares_disk is None:
            process.call = None
            process.shares_disk, log = reply
            _log_again(process, log)
            self.profile.start(0)
            if not process.shares_disk:
                where = self._config.out
                _LOG.warning("%s writes its records to its own disk, in %s", process.node, where)
        elif reply is None:
            process.call = None
        else:
            yield self._on_progress(process, reply)

    def _on_progress(self, process: _Process, progress: Progress) -> Outcome:
        _log_again(process, progress.log)
        self.profile.add_snapshot(progress.profile)
        outcome = progress.outcome
        del process.chunk.videos[outcome.video_id]
        self._deaths[process.node_id] = 0
        if outcome.status != ELSEWHERE and not process.shares_disk:
            self._on_other_disks[process.node] += 1
        if self._queue.is_retried(outcome.video_id):  # a lost process may have committed it
            return outcome._replace(skipped=False, relabelled=False)
        return outcome

    def _keep_idle(self, process: _Process) -> None:
        """Keep a process idle, so that Ray places no other one on its share of the node."""
        self._processes.remove(process)
        self._idle_actors.append(process.actor)

    def _handle_loss(self, process: _Process, why: str) -> Iterator[Outcome]:
        """Queue the chunk of a dead process again."""
        self._processes.remove(process)
        cluster.kill(process.actor)
        chunk, node_id = process.chunk, process.node_id
        if node_id:
            _LOG.warning(
                "%s lost a process (%s); %d videos are queued again",
                process.node,
                why,
                len(chunk.videos),
            )
        # If the chunk has failed before, its videos may be the cause instead of the node.
        if node_id and not any(map(self._queue.is_retried, chunk.videos)):
            self._deaths[node_id] += 1
            if self._deaths[node_id] == _MAX_DEATHS:
                reason = f"{process.node}: its processes die before they finish a video: {why}"
                self._exclude(node_id, reason)
        failed = self._queue.fail(chunk)
        if failed:
            reason = f"{MAX_FAILURES} processes died while extracting only this video"
            yield record_failure(failed, reason, self._writer, self._config.job.resolved)

    def _exclude(self, node_id: str, reason: str) -> None:
        if node_id not in self._excluded:
            self._excluded[node_id] = reason
            self._checked_at = -math.inf
            _LOG.warning("node excluded: %s", reason)

    def _close(self) -> None:
        """End all processes; those that have claimed videos release them first."""
        loaded = [process for process in self._processes if process.shares_disk is not None]
        closing = [process.actor.close.remote() for process in loaded]
        try:
            end = time.monotonic() + _CLOSING_SECONDS
            while closing and (left := end - time.monotonic()) > 0:
                for call in cluster.wait(closing, left):
                    closing.remove(call)
        finally:
            for actor in self._idle_actors + [process.actor for process in self._processes]:
                cluster.kill(actor)


def _log_again(process: _Process, log: list[logging.LogRecord]) -> None:
    for record in log:
        _LOG.log(record.levelno, "%s: %s", process.node, record.getMessage())
