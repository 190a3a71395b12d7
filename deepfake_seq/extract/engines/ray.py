"""Extraction on all machines of a Ray cluster."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from deepfake_seq.errors import EngineError
from deepfake_seq.extract import preparation
from deepfake_seq.extract.cache import Cache
from deepfake_seq.extract.decoders import without_content
from deepfake_seq.extract.engines import cluster
from deepfake_seq.extract.engines.base import Engine, Job
from deepfake_seq.extract.engines.dealing import ATTEMPTS, Dealer
from deepfake_seq.extract.engines.station import Orders, Ready, Report
from deepfake_seq.extract.prepared import Extracted
from deepfake_seq.extract.profiling import JointProfile
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, Resumption, Todo
from deepfake_seq.extract.video import DecodedVideo

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
"""How often to look which machines have come and gone."""
_WAIT_SECONDS = 1.0
"""How long to wait for somebody to say something, before looking round."""
_START_SECONDS = 60.0
_PATIENCE_SECONDS = 300.0
"""How long to wait for a machine where there is none."""
_CLOSING_SECONDS = 15.0
_MOST_DEATHS = 3
"""How many times in a row a process on one machine may die before it has done anything."""


@dataclass(eq=False)
class _Member:
    """A machine at work.

    Attributes:
        node: The machine.
        actor: The process on it.
        answer: What it was asked last and has not answered; None where it has nothing to do.
        ready: What it said when it was ready.
        since: When it was told to get ready.
    """

    node: cluster.Node
    actor: Any
    answer: Any
    ready: Ready | None = None
    since: float = field(default_factory=time.monotonic)


class RayEngine(Engine):
    """See `Engine`. Each machine runs all of stage 1 and commits what it has done by itself."""

    def __init__(self, job: Job, cache: Cache) -> None:
        self.profile = JointProfile()
        self._job = job
        self._cache = cache
        self._dealer = Dealer()
        self._members: dict[str, _Member] = {}
        self._left_out: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()
        self._apart: Counter[str] = Counter()
        self._looked = -math.inf
        self._stack = ExitStack()
        self._stack.enter_context(cluster.connected(job.execution.address))
        try:
            mark = cache.features.found().absolute()
            self._orders = Orders(job, cache.features.path.absolute(), mark)
        except BaseException:
            self._stack.close()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._dismiss()
        finally:
            self._stack.close()
            self._tell_where_records_lie()

    def run(self, todos: Sequence[Todo]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        # What is a path here may be none in another working directory.
        self._dealer.add(
            todo._replace(item=replace(todo.item, path=todo.item.absolute)) for todo in todos
        )
        try:
            alone_since = time.monotonic()
            while not self._dealer.is_done:
                self._look_round()
                if self._members:
                    alone_since = time.monotonic()
                elif time.monotonic() - alone_since > _PATIENCE_SECONDS:
                    raise EngineError(
                        f"no machine has come for {_PATIENCE_SECONDS:g} s: "
                        "`ray start --address HOST:PORT` on one adds it. What was committed is "
                        "kept; the same command goes on from there."
                    )
                self._hand_out()
                for todo in self._dealer.given_up():
                    yield self._fail(todo)
                for member in self._answering():
                    yield from self._hear(member)
        finally:
            self.profile.stop()

    def _look_round(self) -> None:
        """Put machines that have come to work, and forget those that have gone."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        alive = {node.id: node for node in cluster.nodes()}
        for name in self._members.keys() - alive.keys():
            self._lose(self._members[name], "it has left the cluster")
        if alive and not alive.keys() - self._left_out.keys():
            raise EngineError(f"no machine can do it: {'; '.join(sorted(self._left_out.values()))}")
        if not alive:
            _LOG.warning("no machine is there; waiting for one")
        for name in alive:
            if name in self._members or name in self._left_out:
                continue
            actor = cluster.start_station(alive[name], self._orders)
            self._members[name] = _Member(alive[name], actor, actor.open.remote())
        for member in self._members.values():
            if not member.ready and time.monotonic() - member.since > _START_SECONDS:
                member.since = math.inf
                _LOG.warning(
                    "%s is not ready after %g s. Where something else uses its processors, it is "
                    "waited for (`ray status` tells)",
                    member.node.name,
                    _START_SECONDS,
                )

    def _hand_out(self) -> None:
        for name, member in self._members.items():
            if member.ready and member.answer is None:
                todos = self._dealer.deal(name)
                if todos:
                    member.answer = member.actor.exchange.remote(todos)

    def _answering(self) -> list[_Member]:
        """Those who have answered; waits a little for somebody."""
        asked = {member.answer: member for member in self._members.values() if member.answer}
        if not asked:
            time.sleep(min(_WAIT_SECONDS, _LOOK_SECONDS))
            return []
        return [asked[answer] for answer in cluster.answered(list(asked), _WAIT_SECONDS)]

    def _hear(self, member: _Member) -> Iterator[Outcome]:
        """Take in what a machine says, and give it more to do."""
        name = member.node.id
        try:
            report: Report = cluster.answer(member.answer)
        except cluster.LostError as error:
            self._lose(member, str(error))
            return
        for level, line in report.log:
            _LOG.log(level, "%s: %s", member.node.name, line)
        if report.profile:
            self.profile.take(name, report.profile)
        if report.problem and not member.ready:
            self._leave_out(member, report.problem.message)
            return
        if report.ready:
            self._welcome(member, report.ready)
        outcomes = [self._settled(member, outcome) for outcome in report.outcomes]
        self._ask(member, report)
        yield from outcomes
        if report.problem:
            raise report.problem.on(member.node.name)

    def _welcome(self, member: _Member, ready: Ready) -> None:
        self.profile.start()
        member.ready = ready
        self._dealer.join(member.node.id, ready.depth)
        if not ready.shares_disk:
            _LOG.warning(
                "%s keeps its records on its own disk, in %s", member.node.name, self._orders.out
            )

    def _settled(self, member: _Member, outcome: Outcome) -> Outcome:
        self._deaths[member.node.id] = 0
        was_lost = self._dealer.settle(member.node.id, outcome.video_id)
        if outcome.status == ELSEWHERE:
            return outcome
        if member.ready and not member.ready.shares_disk:
            self._apart[member.node.name] += 1
        # Where a lost machine had committed it before it could say so, it was made by this run.
        return outcome._replace(skipped=False, relabelled=False) if was_lost else outcome

    def _ask(self, member: _Member, report: Report) -> None:
        """Ask for the next report, unless there is nothing to report."""
        if report.profile:
            done, seconds = report.profile.stages["store"].done, report.profile.seconds
            self._dealer.pace(member.node.id, done / seconds if seconds else 0.0)
        todos = self._dealer.deal(member.node.id)
        busy = todos or self._dealer.has(member.node.id)
        member.answer = member.actor.exchange.remote(todos) if busy else None

    def _lose(self, member: _Member, why: str) -> None:
        """What a machine had goes back, and whatever is left of its process is ended."""
        name = member.node.id
        del self._members[name]
        cluster.end(member.actor)
        if not self._dealer.is_alone(name):  # else it is the video's fault
            self._deaths[name] += 1
        videos = self._dealer.leave(name)
        self.profile.leave(name)
        self._looked = min(self._looked, time.monotonic() - _LOOK_SECONDS + 1.0)
        if member.ready or self._deaths[name] == _MOST_DEATHS:
            _LOG.warning("%s was lost (%s); %d videos go back", member.node.name, why, videos)
        if self._deaths[name] == _MOST_DEATHS:
            self._left_out[name] = f"{member.node.name}: its process died again and again: {why}"

    def _leave_out(self, member: _Member, why: str) -> None:
        name = member.node.id
        del self._members[name]
        cluster.end(member.actor)
        self._left_out[name] = f"{member.node.name}: {why}"
        self._looked = -math.inf
        _LOG.warning("%s is left out: %s", member.node.name, why)

    def _fail(self, todo: Todo) -> Outcome:
        """Record a video that took machine after machine down with it, so that nobody else does."""
        standing: list[Outcome] = []
        elsewhere: list[Todo] = []
        job, item = self._job, todo.item
        resumption = Resumption(self._cache, job.resolved, job.retry_failed, standing.append)
        for _ in resumption.claimed([todo], elsewhere.append):
            reason = f"{ATTEMPTS} machines were lost, or their processes died, while they had it"
            source = without_content(item.path)
            video = DecodedVideo(None, "decode_error", reason, source, transient=True)
            failed = preparation.failure(job.resolved, item, video)
            faces = [failed.faces] if failed.faces else []
            resumption.commit(Extracted(item, [failed.finished()], faces))
            return Outcome(item.video_id, video.status, reason, True)
        if elsewhere:
            return Outcome(item.video_id, ELSEWHERE)
        return standing[0]._replace(skipped=False, relabelled=False)

    def _dismiss(self) -> None:
        """End all that runs on the machines; what holds something gives it back first."""
        members = list(self._members.values())
        closing = [member.actor.close.remote() for member in members if member.ready]
        try:
            end = time.monotonic() + _CLOSING_SECONDS
            while closing and (left := end - time.monotonic()) > 0:
                for answer in cluster.answered(closing, left):
                    closing.remove(answer)
        finally:
            for member in members:
                cluster.end(member.actor)

    def _tell_where_records_lie(self) -> None:
        if self._apart:
            out, machines = self._orders.out, ", ".join(sorted(self._apart))
            _LOG.warning(
                "%d records lie on the disks of %s, in %s. Copy each of these folders to this "
                "machine, and join them: `deepseq merge FOLDER... --out STORE`",
                self._apart.total(),
                machines,
                out,
            )
