"""Engines: whoever does the work, every video has one outcome, and what is told is in the store.

The Ray engine runs here on machines that are threads of this process, so that they can be lost at
any point; `test_ray.py` runs it on Ray.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from clips import write_clip

from deepfake_seq.config import (
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    SamplingConfig,
)
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.errors import EngineError, StoreError
from deepfake_seq.extract import machine, pipeline
from deepfake_seq.extract.cache import Cache
from deepfake_seq.extract.engines import Engine, Job, build_engine, station
from deepfake_seq.extract.engines import ray as ray_engine
from deepfake_seq.extract.engines.cluster import LostError, Node
from deepfake_seq.extract.engines.station import Orders, Station
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, Todo
from deepfake_seq.store import FeatureStore, StoreWriter
from deepfake_seq.store.merge import merge

CONFIG = ExtractConfig(
    sampling=SamplingConfig(frames=2),
    faces=FaceConfig(detector="none"),
    backbone=BackboneConfig("vgg16", "untrained"),
)


class MeanCnn:
    """Each feature is the crop's mean grey level."""

    batch = 1

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.repeat(crops_rgb.mean(axis=(1, 2, 3), dtype=np.float32)[:, None], 512, axis=1)


class Call:
    """A method of an actor: called in the actor's own thread."""

    def __init__(self, actor: Actor, name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, *arguments: Any) -> Future[Any]:
        return self._actor.call(self._name, *arguments)


class Actor:
    """A station in a thread, which can be lost."""

    def __init__(self, orders: Orders, cpus: int) -> None:
        self.is_lost = False
        self.station = Station(orders, cpus)
        self.open, self.exchange, self.close = (
            Call(self, name) for name in ("open", "exchange", "close")
        )
        self._thread = ThreadPoolExecutor(1)

    def call(self, name: str, *arguments: Any) -> Future[Any]:
        answer: Future[Any] = self._thread.submit(getattr(self.station, name), *arguments)
        answer.actor = self  # type: ignore[attr-defined]
        if name == "open":
            wait([answer])  # so that nobody does everything before the others are ready
        return answer

    def lose(self) -> None:
        """Whatever it still says is not heard. The system gives back what it held."""
        if not self.is_lost:
            self.is_lost = True
            self.station.close()
            self._thread.shutdown()


class Cluster:
    """Machines in this process, in the place of `engines.cluster`."""

    LostError = LostError

    def __init__(self, count: int) -> None:
        self.alive = {f"m{n}": Node(f"m{n}", f"machine {n}", 1, 0) for n in range(count)}
        self.actors: dict[str, list[Actor]] = {}
        self.orders: Callable[[str, Orders], Orders] = lambda name, orders: orders

    @contextmanager
    def connected(self, address: str) -> Iterator[None]:
        yield
        for actors in self.actors.values():
            for actor in actors:
                actor.lose()

    def nodes(self) -> list[Node]:
        return list(self.alive.values())

    def start_station(self, node: Node, orders: Orders) -> Actor:
        actor = Actor(self.orders(node.id, orders), node.cpus)
        self.actors.setdefault(node.id, []).append(actor)
        return actor

    def answered(self, asked: list[Future[Any]], seconds: float) -> list[Future[Any]]:
        return list(wait(asked, seconds, FIRST_COMPLETED).done)

    def answer(self, asked: Future[Any]) -> Any:
        if asked.actor.is_lost:  # type: ignore[attr-defined]
            raise LostError("the process died")
        return asked.result()

    def end(self, actor: Actor) -> None:
        actor.lose()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Two machines with a CNN that costs nothing, on one disk."""
    cluster = Cluster(2)
    monkeypatch.setattr(ray_engine, "cluster", cluster)
    monkeypatch.setattr(ray_engine, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(ray_engine, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(machine, "build_runtime", lambda *_: MeanCnn())
    return cluster


@pytest.fixture
def items(tmp_path: Path) -> list[VideoItem]:
    """Eight clips and a file that is none."""
    folder = tmp_path / "videos"
    folder.mkdir()
    first = write_clip(folder / "0.mp4", 6)
    for number in range(1, 8):
        shutil.copy(first, folder / f"{number}.mp4")
    (folder / "8.mp4").write_text("no video")
    return [VideoItem(folder / f"{n}.mp4", f"{n}.mp4", FAKE) for n in range(9)]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with new_cache(tmp_path / "store") as cache:
        yield cache


def new_cache(path: Path) -> Cache:
    return Cache.create(path, resolve(CONFIG))


def job(name: str, videos: int = 9) -> Job:
    return Job(resolve(CONFIG), ExecutionConfig(workers=1, engine=name), False, videos)


def todos(items: list[VideoItem]) -> list[Todo]:
    return [Todo(item, 0) for item in items]


@pytest.fixture(params=["local", "ray"])
def engine(request: pytest.FixtureRequest, cluster: Cluster, cache: Cache) -> Engine:
    return build_engine(job(request.param), cache)


def ids(outcomes: list[Outcome]) -> list[str]:
    return sorted(outcome.video_id for outcome in outcomes)


# What every engine does.


def test_every_video_has_one_outcome_that_is_in_the_store(
    engine: Engine, items: list[VideoItem], tmp_path: Path
) -> None:
    outcomes = []
    with engine:
        for outcome in engine.run(todos(items)):
            record = FeatureStore.open(tmp_path / "store")[outcome.video_id]
            assert (record.status, record.reason) == (outcome.status, outcome.reason)
            outcomes.append(outcome)
    assert ids(outcomes) == [item.video_id for item in items]
    assert {outcome.video_id for outcome in outcomes if outcome.status != "ok"} == {"8.mp4"}
    assert not any(outcome.skipped for outcome in outcomes)
    assert len(FeatureStore.open(tmp_path / "store")) == 9


def test_an_engine_can_run_several_times(engine: Engine, items: list[VideoItem]) -> None:
    with engine:
        assert list(engine.run([])) == []
        assert ids(list(engine.run(todos(items[:2])))) == ["0.mp4", "1.mp4"]
        assert ids(list(engine.run(todos(items[2:4])))) == ["2.mp4", "3.mp4"]


def test_what_another_run_has_is_elsewhere(
    engine: Engine, items: list[VideoItem], tmp_path: Path
) -> None:
    with new_cache(tmp_path / "store") as other, engine:
        assert other.features.claim("1.mp4")
        statuses = {outcome.video_id: outcome.status for outcome in engine.run(todos(items[:3]))}
        assert statuses == {"0.mp4": "ok", "1.mp4": ELSEWHERE, "2.mp4": "ok"}
        other.features.release("1.mp4")
        (outcome,) = engine.run(todos(items[1:2]))
        assert outcome.status == "ok"


def test_what_another_run_has_made_since_is_skipped(
    engine: Engine, items: list[VideoItem], tmp_path: Path
) -> None:
    with new_cache(tmp_path / "store") as other:
        local = ExecutionConfig(workers=1)
        pipeline.extract(items[:1], resolve(CONFIG), other, local)
    with engine:
        outcomes = {outcome.video_id: outcome for outcome in engine.run(todos(items[:2]))}
    assert outcomes["0.mp4"].skipped and not outcomes["1.mp4"].skipped


def test_where_the_time_went_is_known(engine: Engine, items: list[VideoItem]) -> None:
    with engine:
        list(engine.run(todos(items)))
        stages = engine.profile.stages
    assert (stages["decode"].done, stages["cnn"].done, stages["store"].done) == (9, 16, 9)
    assert engine.profile.seconds > 0
    assert 0 < engine.profile.pressure("decode") <= 1.0


def test_an_engine_gives_back_what_it_holds_when_nobody_wants_the_rest(
    engine: Engine, items: list[VideoItem], cache: Cache, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), engine:
        for _ in engine.run(todos(items)):
            raise KeyboardInterrupt
    cache.__exit__()
    assert list((tmp_path / "store" / ".locks").glob("video-*")) == []
    assert list((tmp_path / "store").glob(".writer-*")) == []


# What several machines do.


def ray_run(
    items: list[VideoItem], cache: Cache, tell: Callable[[Outcome], None] = lambda _: None
) -> pipeline.Summary:
    execution = ExecutionConfig(workers=1, engine="ray")
    return pipeline.extract(
        items, resolve(CONFIG), cache, execution, on_video=lambda outcome, _: tell(outcome)
    )


def revisions(path: Path) -> dict[str, int]:
    with FeatureStore.open(path) as store:
        return {record.video_id: record.revision for record in store}


def test_all_machines_work(items: list[VideoItem], cache: Cache, cluster: Cluster) -> None:
    with build_engine(job("ray"), cache) as engine:
        list(engine.run(todos(items)))
        assert engine.profile.stages["decode"].lanes == 2
        for (actor,) in cluster.actors.values():
            assert actor.station._machine.profile.stages["decode"].done > 0


def test_a_lost_machine_costs_what_it_had_in_hand(
    items: list[VideoItem], cache: Cache, cluster: Cluster, tmp_path: Path
) -> None:
    told: list[str] = []

    def lose_one(outcome: Outcome) -> None:
        told.append(outcome.video_id)
        if len(told) == 1:
            del cluster.alive["m0"]
            cluster.actors["m0"][0].lose()

    summary = ray_run(items, cache, lose_one)
    assert (summary.ok, summary.failed, summary.skipped) == (8, 1, 0)
    assert sorted(told) == [item.video_id for item in items]
    assert set(revisions(tmp_path / "store").values()) == {1}
    assert len(cluster.actors["m0"]) == 1


def test_what_a_lost_machine_had_committed_is_not_made_again(
    items: list[VideoItem], cache: Cache, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine does all that it has, and is lost before it can say so."""
    del cluster.alive["m1"]
    answer = cluster.answer

    def losing(asked: Future[Any]) -> Any:
        report = answer(asked)
        first = cluster.actors["m0"][0]
        if report.outcomes and not first.is_lost:
            while first.station._unsettled:
                pass
            first.lose()
            raise LostError("the process died")
        return report

    monkeypatch.setattr(cluster, "answer", losing)
    monkeypatch.setattr(machine, "_BATCHES_AHEAD", 8)  # so that it is given all of them at once
    summary = ray_run(items, cache)
    assert (summary.ok, summary.failed, summary.skipped) == (8, 1, 0)
    assert [failure.reason for failure in summary.failures] != [""]
    lost, after = cluster.actors["m0"]
    assert lost.station._machine.profile.stages["decode"].done == 9
    assert after.station._machine.profile.stages["decode"].done == 0


def test_a_process_that_died_is_started_again_on_its_machine(
    items: list[VideoItem], cache: Cache, cluster: Cluster
) -> None:
    del cluster.alive["m1"]

    def lose_it(outcome: Outcome) -> None:
        if len(cluster.actors["m0"]) == 1:
            cluster.actors["m0"][0].lose()

    summary = ray_run(items, cache, lose_it)
    assert (summary.ok, summary.failed) == (8, 1)
    assert len(cluster.actors["m0"]) == 2


class Deadly(Station):
    """Its process dies of one video."""

    def exchange(self, todos: Any) -> Any:
        if any(todo.item.video_id == "3.mp4" for todo in todos):
            raise LostError("killed")
        return super().exchange(todos)


def test_a_video_that_takes_machines_down_fails_and_the_next_run_tries_it_again(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"{__name__}.Station", Deadly)
        summary = ray_run(items[:8], cache)
    assert (summary.ok, summary.failed) == (7, 1)
    (failure,) = summary.failures
    assert (failure.video_id, failure.status, failure.transient) == ("3.mp4", "decode_error", True)
    assert "3 machines were lost" in failure.reason
    record = FeatureStore.open(tmp_path / "store")["3.mp4"]
    assert record.transient and record.label == FAKE
    summary = ray_run(items[:8], cache)
    assert (summary.ok, summary.skipped) == (1, 7)


def test_a_machine_whose_process_dies_again_and_again_is_left_out(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = cluster.answer

    def losing(asked: Future[Any]) -> Any:
        actors = cluster.actors["m0"]
        if any(asked.actor is actor for actor in actors):  # type: ignore[attr-defined]
            raise LostError("out of memory")
        return answer(asked)

    monkeypatch.setattr(cluster, "answer", losing)
    start = cluster.start_station

    def slow_start(node: Node, orders: Orders) -> Actor:
        if node.id == "m1" and len(cluster.actors["m0"]) < 3:
            raise AssertionError("m1 comes later")
        return start(node, orders)

    later = cluster.alive.pop("m1")
    nodes = cluster.nodes

    def then_both() -> list[Node]:
        if len(cluster.actors.get("m0", [])) == 3:
            cluster.alive["m1"] = later
        return nodes()

    monkeypatch.setattr(cluster, "start_station", slow_start)
    monkeypatch.setattr(cluster, "nodes", then_both)
    assert ray_run(items, cache).ok == 8
    assert len(cluster.actors["m0"]) == 3
    assert "machine 0 was lost (out of memory)" in caplog.text


def test_a_machine_that_comes_later_is_put_to_work(
    items: list[VideoItem], cache: Cache, cluster: Cluster
) -> None:
    later = cluster.alive.pop("m1")

    def come(outcome: Outcome) -> None:
        cluster.alive["m1"] = later

    assert ray_run(items, cache, come).ok == 8
    assert "m1" in cluster.actors


def test_where_no_machine_is_left_the_run_ends_with_what_was_committed(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(ray_engine, "_PATIENCE_SECONDS", 0.2)

    def lose_all(outcome: Outcome) -> None:
        for name in list(cluster.alive):
            del cluster.alive[name]
            cluster.actors[name][0].lose()

    told = []
    with pytest.raises(EngineError, match=r"no machine has come for 0\.2 s"):
        ray_run(items, cache, lambda outcome: (told.append(outcome), lose_all(outcome))[-1])
    assert {outcome.video_id for outcome in told} <= set(
        FeatureStore.open(cache.features.path).video_ids
    )


def test_a_machine_that_would_make_other_features_is_left_out_by_name(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def other(name: str, orders: Orders) -> Orders:
        if name == "m1":
            return orders
        resolved = orders.job.resolved
        fields = {**resolved.fingerprint.fields, "versions": {"av": "1"}}
        resolved = replace(resolved, fingerprint=replace(resolved.fingerprint, fields=fields))
        return replace(orders, job=replace(orders.job, resolved=resolved))

    cluster.orders = other
    assert ray_run(items, cache).ok == 8
    assert "machine 0 is left out: it would make other features: versions.av is 18" in caplog.text


def test_where_every_machine_is_left_out_all_are_named(
    items: list[VideoItem], cache: Cache, cluster: Cluster
) -> None:
    cluster.orders = lambda name, orders: replace(orders, version="0.0")
    expected = r"machine 0: deepseq .* is installed there, 0.0 here; machine 1: deepseq"
    with pytest.raises(EngineError, match=expected):
        ray_run(items, cache)


def test_an_expected_error_of_a_machine_is_told_with_its_name(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: StoreWriter, record: object) -> None:
        raise StoreError("no space left on the disk")

    monkeypatch.setattr(StoreWriter, "commit", full)
    with pytest.raises(StoreError, match=r"machine \d: no space left on the disk") as caught:
        ray_run(items, cache)
    assert "Traceback" in "".join(caught.value.__notes__)


def test_a_bug_on_a_machine_is_told_with_its_traceback(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MeanCnn, "features", lambda self, crops_rgb: crops_rgb["oops"])
    with pytest.raises(RuntimeError, match=r"machine \d: IndexError") as caught:
        ray_run(items, cache)
    assert "oops" in "".join(caught.value.__notes__)


def test_what_a_machine_has_to_say_is_said_here(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def talkative(*_: object) -> MeanCnn:
        logging.getLogger("deepfake_seq.extract").warning("the blob is made anew")
        return MeanCnn()

    monkeypatch.setattr(machine, "build_runtime", talkative)
    ray_run(items, cache)
    assert "machine 0: the blob is made anew" in caplog.text


def test_machines_with_disks_of_their_own_say_where_their_records_lie(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    cluster.orders = lambda name, orders: replace(
        orders, out=tmp_path / name, mark=Path("/of/another/machine")
    )
    summary = ray_run(items, cache)
    assert (summary.ok, summary.failed) == (8, 1)
    assert "9 records lie on the disks of machine 0, machine 1, in" in caplog.text
    videos, _ = merge([tmp_path / "m0", tmp_path / "m1"], tmp_path / "merged")
    assert videos == 9
    with new_cache(tmp_path / "merged") as merged:
        assert ray_run(items, merged).skipped == 9


def test_a_shared_disk_without_locks_is_refused(
    items: list[VideoItem],
    cache: Cache,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(station, "dead_writers", lambda path: [cache.features.found().name])
    with pytest.raises(EngineError, match=r"locks on .* do not hold between machines"):
        ray_run(items, cache)


def test_weights_that_lie_elsewhere_on_a_machine_are_found_by_their_content(
    tmp_path: Path, empty_home: Path
) -> None:
    from deepfake_seq import weights

    there, here = tmp_path / "there.onnx", tmp_path / "here.onnx"
    there.write_bytes(b"\x08weights")
    faces = FaceConfig(detector="yunet", detector_weights=str(there))
    resolved = resolve(replace(CONFIG, faces=faces))
    there.rename(here)
    with pytest.raises(Exception, match=r"no such weights file.*there\.onnx"):
        station._resolved_here(resolved)
    weights.remember_given(here, resolved.fingerprint.fields["faces"]["weights_sha256"])
    assert station._resolved_here(resolved).detector_weights == here
