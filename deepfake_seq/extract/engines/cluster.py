"""A Ray cluster: getting to it, and what machines it has. Ray is imported here alone."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from deepfake_seq.errors import EngineError, UsageError
from deepfake_seq.extract.engines.station import Orders, Station

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 100 << 20
"""Nothing but short reports goes through it."""


class LostError(Exception):
    """A machine is gone, or the process on it."""


class Node(NamedTuple):
    """A machine of the cluster.

    Attributes:
        id: Ray's name of it.
        name: For people.
        cpus: How many processors it has for Ray.
        gpus: How many GPUs.
    """

    id: str
    name: str
    cpus: int
    gpus: int


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster; what was started for it ends with it.

    Args:
        address: `HOST:PORT`; "" for what `RAY_ADDRESS` says, or a cluster that runs on this
            machine, or else one that is started here.

    Raises:
        EngineError: Ray is not installed, or there is no way to the cluster.
        UsageError: The address cannot be used.
    """
    try:
        import ray
    except ImportError as error:
        raise EngineError(
            "Ray is not installed. Get it with `pip install 'deepfake-seq[ray]'`."
        ) from error
    if ray.is_initialized():  # by whoever uses deepseq as a library; it stays his
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


def nodes() -> list[Node]:
    """The machines that are alive and have processors."""
    import ray

    found = []
    for node in ray.nodes():
        resources = node["Resources"]
        if node["Alive"] and resources.get("CPU", 0) >= 1:
            name = f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})"
            cpus, gpus = int(resources["CPU"]), int(resources.get("GPU", 0))
            found.append(Node(node["NodeID"], name, cpus, gpus))
    return found


def start_station(node: Node, orders: Orders) -> Any:
    """An actor that is a `Station`, on a machine that it has for itself."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # OpenVINO works on processors alone. Others use one GPU.
    gpus = min(node.gpus, 1) if orders.job.execution.runtime != "openvino" else 0
    actor = ray.remote(Station).options(
        num_cpus=node.cpus,
        num_gpus=gpus,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
    )
    return actor.remote(orders, node.cpus)


def answered(asked: Sequence[Any], seconds: float) -> list[Any]:
    """Those of what was asked that are answered; waits for one of them if there is none."""
    import ray

    answers, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
    if not answers:
        answers, _ = ray.wait(list(asked), timeout=seconds)
    return list(answers)


def answer(asked: Any) -> Any:
    """What was answered.

    Raises:
        LostError: Nobody is there to answer.
    """
    import ray

    try:
        return ray.get(asked)
    except ray.exceptions.RayTaskError:
        raise  # it was answered by a bug
    except ray.exceptions.RayError as error:
        raise LostError(_why(error)) from error


def _why(error: Exception) -> str:
    """The one part of Ray's many lines about a lost actor that says something."""
    text = " ".join(str(error).split())
    reason = re.search(r"(?:dead|died) because ([^.]*\w)", text)
    return reason[1] if reason else "it no longer answers"


def end(actor: Any) -> None:
    """End the actor's process, if it is there, and those that it started."""
    import ray

    ray.kill(actor)


def _require_way_to(address: str) -> None:
    """Ask a given address whether anybody is there; Ray itself takes minutes to say no."""
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
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise EngineError(
            f"no Ray cluster at {address}: {error.strerror or error}. "
            "`ray start --head` starts one, and says its address."
        ) from error


def _init(ray: Any, address: str) -> None:
    options = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address != "local":
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
        raise EngineError(f"cannot get to {where}: {' '.join(str(error).split())}") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray from printing: the logs of lost nodes, on stdout, whatever it is told.

    What the machines have to say comes with their reports.
    """
    import ray._private.worker as internals

    before = getattr(internals, "print_to_stdstream", None)
    internals.print_to_stdstream = lambda data, *_, **__: _LOG.debug("Ray says: %s", data)
    try:
        yield
    finally:
        if before is not None:
            internals.print_to_stdstream = before
