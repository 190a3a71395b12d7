"""Decode videos without returning their frames; used by `extraction.py`.

It is a module of its own because decoding processes do not import the script that starts them.
"""

from __future__ import annotations

from pathlib import Path

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.extract.video.decode import decode
from deepfake_seq.extract.video.decoder_pool import Decoders


class DecodersWithoutResult(Decoders):
    """Decoders that discard the frames instead of returning them."""

    def status_of(self, path: Path) -> str:
        """Decode a video and return its status."""
        return str(self.call(_status_of, path, self._sampling, self._limits))


def _status_of(path: Path, sampling: SamplingConfig, limits: LimitsConfig) -> str:
    return decode(path, sampling, limits).status
