"""Connection to a Ray cluster, its nodes and worker processes. Only this module imports Ray."""

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
"""Size of Ray's object store; only chunks of videos and short reports pass through it."""
_DEFAULT_CPUS = 4
"""Number of processors per process if the cluster has no node yet."""


class LostError(Exception):
    """A worker process or its node has died."""


class Share(NamedTuple):
    """Numbers of processors and GPUs that Ray reserves for a worker process."""

    cpus: int
    gpus: int


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster; on exit, stop everything that was started for the connection.

    Args:
        address: `HOST:PORT`. If "", `RAY_ADDRESS` is used, then a cluster running on this machine;
            if there is none, one is started.

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
    """Return the resources of each live node, by id."""
    import ray

    return {
        node["NodeID"]: Share(*(int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU")))
        for node in ray.nodes()
        if node["Alive"]
    }


def share_of_process(runtime: str) -> Share:
    """Return what a process needs: all of the smallest node, so that every node can be used.

    Runtimes other than OpenVINO get one GPU per process, if there are GPUs.
    """
    nodes = _nodes().values()
    with_gpu = [node.cpus // node.gpus for node in nodes if node.gpus and runtime != "openvino"]
    if with_gpu:
        return Share(max(min(with_gpu), 1), 1)
    return Share(min((node.cpus for node in nodes if node.cpus), default=_DEFAULT_CPUS), 0)


def processes_per_node(share: Share) -> dict[str, int]:
    """Return the number of processes that fit on each node, by node id."""
    return {
        key: min(node.cpus // share.cpus, node.gpus // share.gpus if share.gpus else node.cpus)
        for key, node in _nodes().items()
    }


def start_worker(share: Share) -> Any:
    """Request a worker process, a Ray actor; it is pending until its share of a node is free.

    Ray neither restarts it nor repeats its calls, because failures are counted by chunk.
    """
    options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_concurrency": 2}
    return _worker_class().options(**options, max_restarts=0, max_task_retries=0).remote()


def load(actor: Any, config: WorkerConfig) -> Any:
    """Start loading a worker process: it checks its machine and loads the CNN."""
    return actor.load.remote(__version__, pickle.dumps(config))


@cache
def _worker_class() -> Any:
    import ray

    # Ray sends a local class as a whole, so a node without deepseq, or with another version, can
    # run it and report that.
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
                raise ImportError(f"deepseq {there} is installed there, but {version} here")
            from deepfake_seq.extract.engines.remote import RemoteWorker

            logging.getLogger("deepfake_seq").setLevel(logging.INFO)
            self._worker = RemoteWorker(pickle.loads(config))
            return self._worker.shares_disk, self._worker.take_log()

        def extract(self, videos: Any) -> Any:
            yield from self._worker.extract(videos)

        def close(self) -> None:
            self._worker.close()

    return ray.remote(ExtractWorker)


def wait(calls: Sequence[Any], seconds: float) -> list[Any]:
    """Return the calls that have a result; if there are none, wait up to `seconds` for one."""
    import ray

    ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
    if not ready:
        ready, _ = ray.wait(list(calls), timeout=seconds)
    return list(ready)


def reply(call: Any, node: str) -> Any:
    """Return the result of a call, or the next one that it yields; None at its end.

    Args:
        call: The call of a worker process.
        node: Name of its node, for messages.

    Raises:
        LostError: The process has died.
        DeepseqError: The process raised this error, and can continue.
        RuntimeError: The process raised an unexpected exception.
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
    """Return the informative part of Ray's long message about a lost actor."""
    text = " ".join(str(error).split())
    reason = re.search(r"(?:dead|died) because ([^.]*\w)", text)
    return reason[1] if reason else "it no longer answers"


def kill(actor: Any) -> None:
    """End a worker process, pending or running, and its decoding processes."""
    import ray

    ray.kill(actor)


def _require_way_to(address: str) -> None:
    """Raise an error if the address is unreachable, before Ray waits for minutes."""
    if address in ("", "auto", "local"):
        return
    if "://" in address:
        raise UsageError(
            "--address must be HOST:PORT of a cluster that includes this machine; "
            f"Ray Client is not supported. Received: {address}"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(f"--address must be HOST:PORT. Received: {address}")
    problem = _unreachable(address)
    if problem:
        raise EngineError(
            f"no Ray cluster at {address}: {problem}. "
            "`ray start --head` starts one and prints its address."
        )


def _unreachable(address: str) -> str:
    """Return why connecting to `HOST:PORT` fails, or "" if it works."""
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
        # If the last cluster is gone, Ray would wait for minutes and then end this process.
        if address != "local" and not (last and _unreachable(last)):
            try:
                ray.init(address=address or "auto", **options)
                return
            except ConnectionError:
                if address:
                    raise
        _LOG.info("no Ray cluster is running here; starting one on this machine only")
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
            f"cannot connect to {where}: {' '.join(str(error).split())}. If `ray start` "
            "reported token authentication, set RAY_AUTH_MODE=token."
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray from printing logs of lost nodes on stdout; no option of Ray prevents it.

    Log lines of worker processes arrive with their reports.
    """
    import ray._private.worker as internals

    before = getattr(internals, "print_to_stdstream", None)
    internals.print_to_stdstream = lambda data, *_, **__: _LOG.debug("Ray: %s", data)
    try:
        yield
    finally:
        if before is not None:
            internals.print_to_stdstream = before
