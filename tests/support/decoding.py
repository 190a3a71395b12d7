"""Decoding in the test's own process, in the place of processes that would have to be started."""

from __future__ import annotations

import threading
from pathlib import Path

from deepfake_seq.extract.video.decode import DecodedVideo, decode
from deepfake_seq.extract.video.decoder_pool import Decoders

_ONE_AT_A_TIME = threading.Lock()
"""What FFmpeg complains of is captured for the whole process, so two threads would mix it up."""


class DecodersHere(Decoders):
    """Decodes in this process."""

    def decode(self, path: Path) -> DecodedVideo:
        """See `Decoders.decode`."""
        with _ONE_AT_A_TIME:
            return decode(path, self._sampling, self._limits)
