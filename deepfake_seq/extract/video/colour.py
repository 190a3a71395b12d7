"""Conversion of HDR and wide-gamut images to SDR BT.709: NumPy functions of images.

Libswscale takes seconds to build the tables with which it converts these images, and maps HDR
reference white to grey; this module follows the recommendations of the ITU instead:

- BT.2100-2: the transfer functions of PQ (table 4) and HLG (table 5, nominal peak of 1,000 cd/m²).
- BT.2408: HDR reference white, 203 cd/m², is shown as SDR white.
- BT.2390-10, section 5.4.1: the curve that compresses highlights, from 1,000 to 203 cd/m² (EETF,
  applied to the largest of R, G and B, which keeps the hue). Signals below 90 cd/m², grey level 181
  of 255, keep their brightness.
- BT.2087: BT.2020 primaries to those of BT.709. Colours outside BT.709 are clipped.
- BT.1886: the transfer function of SDR displays, a power of 2.4, without black level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

PEAK_NITS = 1000.0
"""Luminance of the brightest HDR highlight that is kept, in cd/m²."""

WHITE_NITS = 203.0
"""Luminance of HDR reference white, shown as SDR white, in cd/m²."""

_PQ, _HLG = 16, 18  # AVColorTransferCharacteristic
_BT709, _UNKNOWN, _BT2020, _P3_D65 = 1, 2, 9, 12  # AVColorPrimaries

_TO_709 = {
    _BT709: np.eye(3),
    _BT2020: np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    ),
    _P3_D65: np.array([[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]]),
}
"""Matrices from linear RGB of some primaries to those of BT.709."""

_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_CODES = 1 << 16
_LEVELS = 1 << 14
_BLOCK_PIXELS = 1 << 18


class ColourTags(NamedTuple):
    """How colours are encoded, as the file says; 2 is unknown.

    Attributes:
        transfer: FFmpeg's number of the transfer characteristic.
        primaries: FFmpeg's number of the colour primaries.
    """

    transfer: int
    primaries: int

    def or_else(self, other: ColourTags) -> ColourTags:
        """Return these tags, with the unknown ones replaced."""
        return ColourTags(
            other.transfer if self.transfer in (0, _UNKNOWN) else self.transfer,
            other.primaries if self.primaries in (0, _UNKNOWN) else self.primaries,
        )


@dataclass(frozen=True)
class Conversion:
    """A conversion to SDR BT.709.

    Attributes:
        source: `pq`, `hlg`, or `bt2020` for SDR images with BT.2020 primaries.
        primaries: FFmpeg's number of the source's colour primaries.
    """

    source: str
    primaries: int

    @classmethod
    def of(cls, tags: ColourTags) -> Conversion | None:
        """Return the conversion that images with these tags need; None for ordinary ones."""
        if tags.transfer in (_PQ, _HLG):
            known = tags.primaries if tags.primaries in _TO_709 else _BT2020
            return cls("pq" if tags.transfer == _PQ else "hlg", known)
        return cls("bt2020", _BT2020) if tags.primaries == _BT2020 else None

    def __str__(self) -> str:
        return f"{self.source} to bt709"

    def apply(self, image_rgb16: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """Convert an image.

        Args:
            image_rgb16: uint16 (H, W, 3); RGB in the transfer function of the source.

        Returns:
            uint8 (H, W, 3).
        """
        result = np.empty(image_rgb16.shape, dtype=np.uint8)
        rows = max(_BLOCK_PIXELS // max(image_rgb16.shape[1], 1), 1)
        matrix = _TO_709[self.primaries].T.astype(np.float32)
        for start in range(0, len(image_rgb16), rows):
            block = slice(start, start + rows)
            linear = self._to_linear(image_rgb16[block]) @ matrix
            levels = np.sqrt(np.clip(linear, 0, 1)) * (_LEVELS - 1) + 0.5
            result[block] = _bt1886_codes()[levels.astype(np.uint16)]
        return result

    def _to_linear(self, codes: npt.NDArray[np.uint16]) -> Floats:
        """Return linear RGB, float32 (H, W, 3), in which SDR white is 1."""
        linear = _linear_values(self.source)[codes]
        if self.source == "bt2020":
            return linear
        if self.source == "hlg":  # the OOTF: scene light to display light, for a gamma of 1.2
            luminance = linear @ _LUMINANCE_2020
            linear *= (luminance**0.2)[..., None]
        brightest = np.sqrt(np.clip(linear.max(axis=2), 0, 1)) * (_LEVELS - 1) + 0.5
        linear *= _highlight_gains()[brightest.astype(np.uint16)][..., None]
        return linear


def pq_to_nits(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the luminance in cd/m² of PQ signals from 0 to 1: the EOTF of BT.2100, table 4."""
    root = signal ** (32 / 2523)
    return 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (
        16384 / 2610
    )


def nits_to_pq(nits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the PQ signal of luminances in cd/m²: the inverse of `pq_to_nits`."""
    power = (nits / 10_000) ** (2610 / 16384)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg_to_scene(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the scene light, 0 to 1, of HLG signals from 0 to 1: the inverse OETF of BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def compress_highlights(nits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map 0 to `PEAK_NITS` to 0 to `WHITE_NITS`: the EETF of BT.2390, section 5.4.1."""
    peak = nits_to_pq(np.array(PEAK_NITS))
    signal = nits_to_pq(np.clip(nits, 0, PEAK_NITS)) / peak
    most = nits_to_pq(np.array(WHITE_NITS)) / peak
    knee = 1.5 * most - 0.5
    t = np.maximum(signal - knee, 0) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_to_nits(np.where(signal < knee, signal, spline) * peak)


@cache
def _linear_values(source: str) -> Floats:
    """Return the linear value of every 16-bit code: light of the scene (HLG) or the display."""
    signal = np.linspace(0, 1, _CODES)
    if source == "pq":
        linear = np.minimum(pq_to_nits(signal) / PEAK_NITS, 1)
    else:
        linear = hlg_to_scene(signal) if source == "hlg" else signal**2.4
    return linear.astype(np.float32)


@cache
def _highlight_gains() -> Floats:
    """Return factors from light relative to `PEAK_NITS` to compressed light relative to white.

    The index is the square root of the light; the last one belongs to the peak.
    """
    nits = PEAK_NITS * np.linspace(0, 1, _LEVELS)[1:] ** 2
    gains = compress_highlights(nits) / WHITE_NITS / (nits / PEAK_NITS)
    return np.append(gains[:1], gains).astype(np.float32)


@cache
def _bt1886_codes() -> npt.NDArray[np.uint8]:
    """Return 8-bit codes of linear light; the index is its square root."""
    light = np.linspace(0, 1, _LEVELS) ** 2
    return np.round(255 * light ** (1 / 2.4)).astype(np.uint8)
