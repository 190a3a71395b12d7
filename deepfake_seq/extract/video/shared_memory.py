"""Values with large arrays, handed from one process to another without going through a pipe.

The arrays lie in memory that both processes map: the sender copies them there once, the receiver
uses them where they are. The memory belongs to no file and goes when nobody maps it any more, so
nothing is left behind however a process ends.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import tempfile
from multiprocessing.connection import Connection
from typing import Any

_ALIGNMENT = 64


def send(connection: Connection, value: Any) -> None:
    """Send a picklable value over one end of a duplex pipe."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [buffer.raw() for buffer in buffers]
    spans, end = [], 0
    for part in parts:
        spans.append((end, part.nbytes))
        end += -(-part.nbytes // _ALIGNMENT) * _ALIGNMENT
    connection.send((head, spans, end))
    if not end:
        return
    descriptor = _memory()
    try:
        os.ftruncate(descriptor, end)
        with mmap.mmap(descriptor, end) as shared:
            for (start, size), part in zip(spans, parts, strict=True):
                shared[start : start + size] = part
        with _socket(connection) as channel:
            socket.send_fds(channel, [b"\0"], [descriptor])
    finally:
        os.close(descriptor)


def receive(connection: Connection) -> Any:
    """What the other end sent with `send`; its arrays can be written to.

    Raises:
        EOFError: The other end is closed.
        OSError: It broke off.
    """
    head, spans, end = connection.recv()
    if not end:
        return pickle.loads(head, buffers=[bytearray() for _ in spans])
    with _socket(connection) as channel:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        raise EOFError("the memory did not come")
    try:
        shared = memoryview(mmap.mmap(descriptors[0], end))
    finally:
        os.close(descriptors[0])
    return pickle.loads(head, buffers=[shared[start : start + size] for start, size in spans])


def _socket(connection: Connection) -> socket.socket:
    """The pipe as the Unix socket that it is, for sending descriptors."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(connection.fileno()))


def _memory() -> int:
    """A descriptor of memory without a name; where the system has none, of a file without one.

    Not `/dev/shm`, which is 64 MB small in many containers.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("deepseq")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
