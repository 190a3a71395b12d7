"""Decoding in the process of the test, which saves starting decoding processes."""

from __future__ import annotations

import threading
from pathlib import Path

from deepfake_seq.extract.video.decode import DecodedVideo, Span, decode
from deepfake_seq.extract.video.decoder_pool import Decoders

_ONE_AT_A_TIME = threading.Lock()
"""FFmpeg's log is captured for the whole process, so only one thread may decode at a time."""


class DecodersHere(Decoders):
    """Decodes in this process."""

    def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
        """See `Decoders.decode`."""
        with _ONE_AT_A_TIME:
            return decode(path, self._sampling, self._limits, span)
