"""Transfer of values with large arrays between processes, through shared memory.

The sender copies the arrays once into memory that both processes map; the receiver uses them in
place. The memory has no name and is freed when no process maps it any more, so nothing is left
behind however a process ends.
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
    """Send a picklable value over one end of a duplex pipe.

    Raises:
        MemoryError: There is not enough memory for the arrays; nothing has been sent.
        OSError: There is not enough memory, or the connection broke.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    spans, end = [], 0
    for array in arrays:
        spans.append((end, array.nbytes))
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    if not end:
        connection.send((head, spans, end))
        return
    descriptor = _memory()
    try:
        os.ftruncate(descriptor, end)
        with mmap.mmap(descriptor, end) as shared:
            for (start, size), array in zip(spans, arrays, strict=True):
                shared[start : start + size] = array
        connection.send((head, spans, end))
        with _socket(connection) as channel:
            socket.send_fds(channel, [b"\0"], [descriptor])
    finally:
        os.close(descriptor)


def receive(connection: Connection) -> Any:
    """Return the value that the other end sent with `send`; its arrays are writable.

    Raises:
        EOFError: The other end is closed.
        OSError: The connection broke.
    """
    head, spans, end = connection.recv()
    if not end:
        return pickle.loads(head, buffers=[bytearray() for _ in spans])
    with _socket(connection) as channel:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        raise EOFError("the shared memory was not received")
    try:
        shared = memoryview(mmap.mmap(descriptors[0], end))
    finally:
        os.close(descriptors[0])
    return pickle.loads(head, buffers=[shared[start : start + size] for start, size in spans])


def _socket(connection: Connection) -> socket.socket:
    """Return the pipe as a Unix socket, which can send file descriptors."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(connection.fileno()))


def _memory() -> int:
    """Return a descriptor of unnamed memory, or of an unnamed file on systems without it.

    `/dev/shm` is not used: in many containers it has only 64 MB.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("deepseq")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
