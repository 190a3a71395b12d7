"""HDR and wide-gamut videos are shown like SDR videos; ordinary ones keep their colours.

The signals are made by the forward formulas of ITU-R BT.2100, written here independently.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from clips import ClipStyle, write_images
from hypothesis import given
from hypothesis import strategies as st
from remuxing import filtered

from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.video.colour import (
    PEAK_NITS,
    WHITE_NITS,
    ColourTags,
    Conversion,
    compress_highlights,
    hlg_to_scene,
    nits_to_pq,
    pq_to_nits,
)
from deepfake_seq.extract.video.decode import decode

Floats = npt.NDArray[np.float64]

SIXTEEN = SamplingConfig()
BT709, BT2020, PQ, HLG, BT2020_10, UNKNOWN = 1, 9, 16, 18, 14, 2

# Skin, saturated colours and greys up to the brightness from which highlights are compressed.
SDR = np.array(
    [[153, 109, 70], [90, 60, 50], [180, 140, 125], [170, 40, 30], [30, 60, 170], [40, 150, 50]]
    + [[grey] * 3 for grey in (16, 64, 128, 180)],
    dtype=np.float64,
)
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def pq_signal(nits: Floats) -> Floats:
    """The inverse EOTF of PQ."""
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg_signal(nits: Floats) -> Floats:
    """The inverse OOTF and the OETF of HLG, for a display of 1,000 cd/m²."""
    display = nits / 1000
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * np.maximum(luminance, 1e-12)[..., None] ** (-0.2 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-12)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def patches(signal: Floats) -> npt.NDArray[np.uint16]:
    """An image of uniform patches, 32 pixels wide."""
    codes = np.round(65_535 * signal).clip(0, 65_535).astype(np.uint16)
    return np.repeat(np.repeat(codes[None], 32, axis=1), 32, axis=0)


def decoded(path: Path) -> tuple[npt.NDArray[np.int64], dict[str, Any]]:
    """Decode a clip of patches; return their colours, and the facts."""
    video = decode(path, SIXTEEN)
    assert video.frames is not None, video.reason
    return video.frames.images_rgb[8][16, 16::32].astype(np.int64), video.facts


def write_hdr(path: Path, transfer: int, signal: Floats, primaries: int = BT2020) -> Path:
    style = ClipStyle(
        "libx265",
        "yuv420p10le",
        colours=(primaries, transfer, BT2020),
        options={"crf": "4", "preset": "ultrafast", "x265-params": "log-level=none"},
    )
    return write_images(path, [patches(signal)] * 16, style)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
def test_an_hdr_clip_gets_the_colours_of_the_sdr_clip(
    transfer: int, suffix: str, tmp_path: Path
) -> None:
    nits = (SDR / 255) ** 2.4 @ TO_2020.T * 203
    signal = pq_signal(nits) if transfer == PQ else hlg_signal(nits)
    colours, facts = decoded(write_hdr(tmp_path / f"hdr{suffix}", transfer, signal))
    assert np.abs(colours - SDR).max() <= 5  # 10 bits and H.265
    assert facts["tone_mapping"] == ("pq to bt709" if transfer == PQ else "hlg to bt709")


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])
def test_highlights_are_compressed_not_cut_off(transfer: int, tmp_path: Path) -> None:
    nits = np.repeat(np.array([100.0, 203, 400, 600, 1000])[:, None], 3, axis=1)
    signal = pq_signal(nits) if transfer == PQ else hlg_signal(nits)
    colours, _ = decoded(write_hdr(tmp_path / "hdr.mp4", transfer, signal))
    assert (np.ptp(colours, axis=1) <= 3).all(), "greys stay grey"
    assert (np.diff(colours[:, 1]) > 0).all()
    assert abs(colours[1, 1] - 230) <= 4
    assert colours[-1].min() >= 253


def test_an_sdr_clip_with_wide_gamut_gets_the_colours_of_the_ordinary_clip(tmp_path: Path) -> None:
    signal = ((SDR / 255) ** 2.4 @ TO_2020.T) ** (1 / 2.4)
    colours, facts = decoded(write_hdr(tmp_path / "wide.mp4", BT2020_10, signal))
    assert np.abs(colours - SDR).max() <= 5
    assert facts["tone_mapping"] == "bt2020 to bt709"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colours_that_only_the_container_names_are_converted(suffix: str, tmp_path: Path) -> None:
    nits = (SDR / 255) ** 2.4 @ TO_2020.T * 203
    path = write_hdr(tmp_path / "hdr.mp4", PQ, pq_signal(nits))
    unknown = "colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
    bare = filtered(path, tmp_path / f"bare{suffix}", f"hevc_metadata={unknown}")
    with av.open(str(bare)) as container:
        frame = next(container.decode(video=0))
        assert (frame.color_trc, frame.color_primaries, frame.colorspace) == (UNKNOWN,) * 3
    colours, facts = decoded(bare)
    assert facts["tone_mapping"] == "pq to bt709"
    assert np.abs(colours - SDR).max() <= 5


def yuv_of(rgb: Floats, red: float, blue: float, *, full: bool) -> Floats:
    """Y'CbCr of 8 bits, for a matrix with some weights of red and blue."""
    r, g, b = (rgb / 255).T
    y = red * r + (1 - red - blue) * g + blue * b
    chroma = np.stack([(b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)])
    luma, scale = (255 * y, 255) if full else (16 + 219 * y, 224)
    return np.stack([luma, *(128 + scale * chroma)])


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(
    ("matrix", "weights"),
    [(1, (0.2126, 0.0722)), (5, (0.299, 0.114)), (6, (0.299, 0.114)), (UNKNOWN, (0.299, 0.114))],
)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_ordinary_clips_keep_their_colours(
    matrix: int, weights: tuple[float, float], pixel_format: str, full: bool, tmp_path: Path
) -> None:
    planes = np.round(yuv_of(SDR, *weights, full=full)).astype(np.uint8)
    luma, *chroma = (
        np.repeat(np.repeat(plane[None], size, axis=1), size, axis=0)
        for plane, size in zip(planes, (32, 16, 16), strict=True)
    )
    stacked = np.concatenate([luma.ravel(), *(plane.ravel() for plane in chroma)])
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "2"})
        stream.width, stream.height, stream.pix_fmt = luma.shape[1], luma.shape[0], pixel_format
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        for _ in range(16):
            frame = av.VideoFrame.from_ndarray(stacked.reshape(-1, luma.shape[1]), format="yuv420p")
            frame.color_range = 2 if full else 1
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode(None))
    colours, facts = decoded(tmp_path / "clip.mp4")
    assert np.abs(colours - SDR).max() <= 4
    assert "tone_mapping" not in facts


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_curves_are_those_of_bt_2100(first: float, second: float) -> None:
    signal = np.array([min(first, second), max(first, second)])
    nits = pq_to_nits(signal)
    np.testing.assert_allclose(pq_signal(nits), signal, atol=1e-6)
    np.testing.assert_allclose(nits_to_pq(nits), signal, atol=1e-6)
    scene = hlg_to_scene(signal)
    grey = np.repeat(1000 * scene[:, None] ** 1.2, 3, axis=1)  # the OOTF
    np.testing.assert_allclose(hlg_signal(grey)[:, 0], signal, atol=1e-5)
    shown = compress_highlights(np.linspace(0, PEAK_NITS, 200))
    assert (np.diff(shown) > 0).all()
    np.testing.assert_allclose(shown[-1], WHITE_NITS, rtol=1e-9)
    np.testing.assert_allclose(shown[:18], np.linspace(0, PEAK_NITS, 200)[:18], atol=1e-6)


@pytest.mark.parametrize("source", ["pq", "hlg", "bt2020"])
def test_black_stays_black_and_large_images_are_converted_like_small_ones(source: str) -> None:
    conversion = Conversion(source, BT2020)
    image = np.random.default_rng(0).integers(0, 1 << 16, (700, 1000, 3)).astype(np.uint16)
    image[0] = 0
    whole = conversion.apply(image)
    assert whole[0].max() == 0
    np.testing.assert_array_equal(whole[690:], conversion.apply(image[690:]))


def test_only_hdr_and_wide_gamut_are_converted() -> None:
    assert Conversion.of(ColourTags(BT709, BT709)) is None
    assert Conversion.of(ColourTags(UNKNOWN, UNKNOWN)) is None
    assert Conversion.of(ColourTags(UNKNOWN, UNKNOWN).or_else(ColourTags(PQ, UNKNOWN))) == (
        Conversion("pq", BT2020)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transfer", "name"), [(PQ, "smpte2084"), (HLG, "arib-std-b67")], ids=["pq", "hlg"]
)
def test_the_conversion_undoes_that_of_ffmpeg(transfer: int, name: str) -> None:
    image = np.repeat(np.repeat(SDR.astype(np.uint8)[None], 8, axis=1), 8, axis=0)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    graph = av.filter.Graph()
    filters = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        ),
        graph.add(
            "scale",
            f"in_transfer=bt709:in_primaries=bt709:out_transfer={name}:out_primaries=bt2020:"
            "intent=relative_colorimetric",
        ),
        graph.add("format", "pix_fmts=rgb48le"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*filters).configure()
    graph.push(frame)
    hdr: Any = graph.pull()
    conversion = Conversion.of(ColourTags(transfer, BT2020))
    assert conversion is not None
    back = conversion.apply(hdr.to_ndarray(format="rgb48le"))[4, 4::8].astype(np.int64)
    assert np.abs(back - SDR).max() <= 4
