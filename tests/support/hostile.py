"""A decoder that crashes or blocks its process, depending on the file name."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from deepfake_seq.extract.video import decode as decoding
from deepfake_seq.extract.video.decode import DecodedVideo

_decode = decoding.decode


def decode(path: Path, *settings: Any) -> DecodedVideo:
    """Decode a video, or misbehave as specified by its file name."""
    if "segfault" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "killed" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in path.name:
        os._exit(7)
    if "hang" in path.name:
        time.sleep(600)
    if "once" in path.name and not path.with_suffix(".tried").exists():
        path.with_suffix(".tried").touch()
        os._exit(7)
    if "hungry" in path.name:
        bytearray(4 << 30)
    if "loud" in path.name:
        for _ in range(20_000):
            os.write(2, b"x" * 1000)
            sys.stdout.write("y" * 1000)
    return _decode(path, *settings)
