"""A Ray cluster: connecting, its nodes, and worker processes on them. Only this imports Ray."""

from __future__ import annotations

import logging
import os
import pickle
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from deepfake_seq import __version__
from deepfake_seq.errors import DeepseqError, EngineError, UsageError
from deepfake_seq.extract.engines.remote import WorkerConfig

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 100 << 20
"""Only chunks of videos and short reports go through it."""
_DEFAULT_CPUS = 4
"""Processors of each process where no node is there yet whose size could be used."""


class LostError(Exception):
    """A worker process, or its node, is gone."""


class Share(NamedTuple):
    """What Ray reserves for each worker process: numbers of processors and of GPUs."""

    cpus: int
    gpus: int


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster; what was started for the connection ends with it.

    Args:
        address: `HOST:PORT`; "" for `RAY_ADDRESS` or a cluster that runs on this machine, or else
            one that is started here.

    Raises:
        EngineError: Ray is not installed, or the cluster cannot be reached.
        UsageError: The address is malformed.
    """
    try:
        import ray
    except ImportError as error:
        raise EngineError(
            "Ray is not installed. Get it with `pip install 'deepfake-seq[ray]'`."
        ) from error
    if ray.is_initialized():  # by a program that uses deepseq as a library
        with _silence():
            yield
        return
    address = address or os.environ.get("RAY_ADDRESS", "")
    _require_way_to(address)
    with _silence():
        _init(ray, address)
        try:
            yield
        finally:
            ray.shutdown()


def _nodes() -> dict[str, Share]:
    """What the nodes that are alive have, by id."""
    import ray

    return {
        node["NodeID"]: Share(*(int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU")))
        for node in ray.nodes()
        if node["Alive"]
    }


def share_of_process(runtime: str) -> Share:
    """What to reserve for each process: all of the smallest node, so that every node can take part.

    Only runtimes other than OpenVINO use GPUs: one for each process, where there are any.
    """
    nodes = _nodes().values()
    with_gpu = [node.cpus // node.gpus for node in nodes if node.gpus and runtime != "openvino"]
    if with_gpu:
        return Share(max(min(with_gpu), 1), 1)
    return Share(min((node.cpus for node in nodes if node.cpus), default=_DEFAULT_CPUS), 0)


def room(share: Share) -> dict[str, int]:
    """How many processes each node can hold, by the node's id."""
    return {
        key: min(node.cpus // share.cpus, node.gpus // share.gpus if share.gpus else node.cpus)
        for key, node in _nodes().items()
    }


def start_worker(share: Share) -> Any:
    """Ask Ray for a worker process, an actor; it is pending until its share of a node is free.

    Ray neither restarts it nor repeats its calls: failures are counted by chunk.
    """
    options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_concurrency": 2}
    return _worker_class().options(**options, max_restarts=0, max_task_retries=0).remote()


def load(actor: Any, config: WorkerConfig) -> Any:
    """Tell a worker process to check its machine, and to load everything."""
    return actor.load.remote(__version__, pickle.dumps(config))


@cache
def _worker_class() -> Any:
    import ray

    # A local class, which Ray sends as a whole: a node without deepseq, or with another version,
    # can run it and say so.
    class ExtractWorker:
        def node(self) -> tuple[str, str]:
            import socket

            return ray.get_runtime_context().get_node_id(), socket.gethostname()

        def load(self, version: str, config: bytes) -> tuple[bool, Any]:
            import logging
            import pickle

            import deepfake_seq

            there = deepfake_seq.__version__
            if there != version:
                raise ImportError(f"deepseq {there} is installed there, {version} here")
            from deepfake_seq.extract.engines.remote import RemoteWorker

            logging.getLogger("deepfake_seq").setLevel(logging.INFO)
            self._worker = RemoteWorker(pickle.loads(config))
            return self._worker.shares_disk, self._worker.take_log()

        def extract(self, todos: Any) -> Any:
            yield from self._worker.extract(todos)

        def close(self) -> None:
            self._worker.close()

    return ray.remote(ExtractWorker)


def wait(calls: Sequence[Any], seconds: float) -> list[Any]:
    """The calls with something to report; waits for one if there is none."""
    import ray

    ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
    if not ready:
        ready, _ = ray.wait(list(calls), timeout=seconds)
    return list(ready)


def reply(call: Any, node: str) -> Any:
    """What a call returned, or yielded next; None at its end.

    Args:
        call: What a worker process was asked.
        node: The name of its node, for messages.

    Raises:
        LostError: The process is gone.
        DeepseqError: It raised this error, and can go on.
        RuntimeError: It raised an unexpected exception.
    """
    import ray

    try:
        item = next(call, None) if isinstance(call, ray.ObjectRefGenerator) else call
        return None if item is None else ray.get(item)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        expected = isinstance(cause, DeepseqError)
        message = f"{node}: {cause}" if expected else f"{node}: {type(cause).__name__}: {cause}"
        raised = type(cause)(message) if expected else RuntimeError(message)
        raised.add_note(f"On {node}:\n{error}")
        raise raised from error
    except ray.exceptions.RayError as error:
        raise LostError(_why(error)) from error


def _why(error: Exception) -> str:
    """The informative part of Ray's many lines about a lost actor."""
    text = " ".join(str(error).split())
    reason = re.search(r"(?:dead|died) because ([^.]*\w)", text)
    return reason[1] if reason else "it no longer answers"


def end(actor: Any) -> None:
    """End a worker process, whether it has begun or not, and its decoding processes."""
    import ray

    ray.kill(actor)


def _require_way_to(address: str) -> None:
    """Check that the address can be connected to; Ray itself takes minutes to refuse."""
    if address in ("", "auto", "local"):
        return
    if "://" in address:
        raise UsageError(
            "--address takes HOST:PORT of a cluster, with deepseq running on one of its machines; "
            f"Ray Client is not supported. Received: {address}"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(f"--address must be HOST:PORT. Received: {address}")
    problem = _unreachable(address)
    if problem:
        raise EngineError(
            f"no Ray cluster at {address}: {problem}. "
            "`ray start --head` starts one, and prints its address."
        )


def _unreachable(address: str) -> str:
    """Why `HOST:PORT` cannot be connected to; "" if it can."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _init(ray: Any, address: str) -> None:
    options = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        last = ray._private.utils.read_ray_address() if not address else ""
        # Ray waits for minutes, then ends this process, if the cluster that it remembers is gone.
        if address != "local" and not (last and _unreachable(last)):
            try:
                ray.init(address=address or "auto", **options)
                return
            except ConnectionError:
                if address:
                    raise
        _LOG.info("no Ray cluster runs here: one is started, on this machine alone")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            **options,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster"
        raise EngineError(
            f"cannot connect to {where}: {' '.join(str(error).split())}. If `ray start` said that "
            "it uses token authentication, set RAY_AUTH_MODE=token."
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray from printing logs of lost nodes on stdout, which no option of its prevents.

    Log lines of worker processes come with their reports.
    """
    import ray._private.worker as internals

    before = getattr(internals, "print_to_stdstream", None)
    internals.print_to_stdstream = lambda data, *_, **__: _LOG.debug("Ray says: %s", data)
    try:
        yield
    finally:
        if before is not None:
            internals.print_to_stdstream = before
