"""Decoding: the sampled frames of intact files, and the status of broken ones."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from clips import (
    B_FRAMES,
    STYLES,
    ClipStyle,
    corrupt,
    cut_tail,
    number_in,
    numbered,
    read_all,
    write_clip,
    write_images,
    write_sound,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.extract.video.decode import DecodedVideo, SampledFrames, decode
from deepfake_seq.extract.video.sampling import uniform
from deepfake_seq.extract.video.timeline import increasing
from deepfake_seq.store import STATUSES

SIXTEEN = SamplingConfig()


def frames_of(video: DecodedVideo) -> SampledFrames:
    assert video.frames is not None, video.reason
    return video.frames


def assert_frames_are_those_of_a_full_decode(path: Path, video: DecodedVideo) -> None:
    times, images = read_all(path)
    frames = frames_of(video)
    assert all(image.dtype == np.uint8 for image in frames.images_rgb)
    assert np.all(np.diff(frames.frame_index) > 0)
    for position, number in enumerate(frames.frame_index):
        np.testing.assert_array_equal(frames.images_rgb[position], images[number])
    np.testing.assert_allclose(
        frames.pts_seconds,
        increasing(times)[frames.frame_index] - times[0],
        rtol=0,
        atol=1e-6,
    )


def noisy_clip(path: Path, frames: int = 60, style: ClipStyle | None = None) -> Path:
    """A clip whose frames are large enough to be hit by damage."""
    style = style or ClipStyle()
    generator = np.random.default_rng(0)
    images = [numbered(number, style.size) for number in range(frames)]
    for image in images:
        image[: image.shape[0] // 4] = generator.integers(
            0, 256, image[: image.shape[0] // 4].shape
        )
    return write_images(path, images, style)


@pytest.mark.parametrize("name", STYLES)
def test_sampled_frames_equal_those_of_a_full_decode(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, 60, STYLES[name])
    video = decode(path, SIXTEEN)
    assert (video.status, video.reason) == ("ok", "")
    assert_frames_are_those_of_a_full_decode(path, video)
    decoded = [number_in(image) for image in frames_of(video).images_rgb]
    assert decoded == frames_of(video).frame_index.tolist()


@pytest.mark.parametrize("name", ["h264.mp4", "vfr.mp4", "frozen.mkv", "mpeg2.mpg"])
def test_frames_are_sampled_at_centres_of_equal_spans(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, 60, STYLES[name])
    video = decode(path, SIXTEEN)
    times, _ = read_all(path)
    expected = uniform(times - times[0], video.facts["duration_seconds"], 16)
    assert frames_of(video).frame_index.tolist() == expected.tolist()


@pytest.mark.parametrize("strategy", ["consecutive", "keyframes"])
@pytest.mark.parametrize("name", STYLES)
def test_every_strategy_gives_frames_of_a_full_decode(
    name: str, strategy: str, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / name, 60, STYLES[name])
    video = decode(path, SamplingConfig(strategy, 5))
    assert_frames_are_those_of_a_full_decode(path, video)
    frames = frames_of(video)
    if strategy == "consecutive":
        assert frames.frame_index.tolist() == [27, 28, 29, 30, 31]
    else:
        with av.open(str(path)) as container:
            keys = {n for n, frame in enumerate(container.decode(video=0)) if frame.key_frame}
        assert set(frames.frame_index.tolist()) <= keys
        assert len(frames) == min(5, len(keys))
        assert video.status == ("ok" if len(keys) >= 5 else "too_few_frames")


def test_the_clip_with_b_frames_has_some(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 24, ClipStyle(options=B_FRAMES))
    with av.open(str(path)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert stamps != sorted(stamps)


@pytest.mark.parametrize("count", [1, 5, 60])
def test_the_requested_number_of_frames_is_returned(count: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    video = decode(path, SamplingConfig(frames=count))
    assert video.status == "ok"
    assert len(frames_of(video)) == count
    assert_frames_are_those_of_a_full_decode(path, video)


@pytest.mark.parametrize("frames", [1, 15])
def test_a_short_video_gives_all_its_frames_and_a_status(frames: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames)
    video = decode(path, SIXTEEN)
    assert video.status == "too_few_frames"
    assert f"{frames} frames" in video.reason
    assert frames_of(video).frame_index.tolist() == list(range(frames))


def test_file_and_video_are_described(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 50, ClipStyle(size=(96, 64)))
    video = decode(path, SIXTEEN)
    assert video.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert video.source.size_bytes == path.stat().st_size
    assert video.source.mtime_ns == path.stat().st_mtime_ns
    assert video.facts == {
        "codec": "h264",
        "duration_seconds": 2.0,
        "fps": 25.0,
        "frames_total": 50,
        "height": 64,
        "width": 96,
    }


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_video_is_turned_upright_like_opencv(degrees: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 16, ClipStyle(rotation=degrees))
    video = decode(path, SIXTEEN)
    capture = cv2.VideoCapture(str(path))
    read = [capture.read()[1] for _ in range(16)]
    capture.release()
    upright = np.stack(read)[..., ::-1]
    images = np.stack(frames_of(video).images_rgb)
    assert images.shape == upright.shape
    assert np.abs(images.astype(int) - upright).max() <= 8
    assert (video.facts["width"], video.facts["height"]) == upright.shape[2:0:-1]


@pytest.mark.parametrize(
    ("name", "shape", "turns"),
    [
        ("decord__video_90.mov", (568, 320), -1),
        ("decord__video_180.mov", (320, 568), 2),
    ],
)
def test_a_phone_video_is_turned_upright(
    name: str, shape: tuple[int, int], turns: int, shared: Path
) -> None:
    path = shared / "bad_clips" / name
    frames = frames_of(decode(path, SIXTEEN))
    _, images = read_all(path)
    assert [image.shape for image in frames.images_rgb] == [(*shape, 3)] * 3
    np.testing.assert_array_equal(frames.images_rgb, [np.rot90(image, turns) for image in images])


@pytest.mark.parametrize("name", ["h264.mkv", "vp9.webm", "mpeg4.avi"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_file_is_partial(name: str, share: float, tmp_path: Path) -> None:
    whole = noisy_clip(tmp_path / name, 60, STYLES[name])
    path = cut_tail(whole, tmp_path / f"cut-{name}", share)
    video = decode(path, SIXTEEN)
    assert video.status in {"partial", "decode_error"}
    assert video.reason
    if video.frames is not None:
        assert_frames_are_those_of_a_full_decode(path, video)


@pytest.mark.parametrize("name", ["h264.ts", "mpeg2.mpg"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9])
def test_a_truncated_stream_without_a_duration_is_not_ok(
    name: str, share: float, tmp_path: Path
) -> None:
    whole = write_clip(tmp_path / name, 60, STYLES[name])
    path = cut_tail(whole, tmp_path / f"cut-{name}", share)
    video = decode(path, SIXTEEN)
    if video.frames is not None:
        assert_frames_are_those_of_a_full_decode(path, video)
    read = 0 if video.frames is None else len(video.frames)
    assert (read == 16) or video.status != "ok"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_partly_downloaded_mp4_is_partial(share: float, tmp_path: Path) -> None:
    style = ClipStyle(options=B_FRAMES, container={"movflags": "faststart"})
    whole = noisy_clip(tmp_path / "clip.mp4", 60, style)
    path = cut_tail(whole, tmp_path / "cut.mp4", share)
    video = decode(path, SIXTEEN)
    assert video.status == "partial"
    assert_frames_are_those_of_a_full_decode(path, video)


@pytest.mark.parametrize("step", [1, 3, 50])
def test_an_mp4_with_damaged_bytes_is_partial_with_the_good_frames(
    step: int, tmp_path: Path
) -> None:
    style = ClipStyle(options=B_FRAMES, container={"movflags": "faststart"})
    whole = noisy_clip(tmp_path / "clip.mp4", 60, style)
    path = corrupt(whole, tmp_path / "damaged.mp4", 0.5, step)
    video = decode(path, SIXTEEN)
    assert video.status == "partial"
    assert "of 16 sampled frames" in video.reason
    assert_frames_are_those_of_a_full_decode(path, video)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_frames_have_the_same_pixels_if_one_thread_samples_all_frames(
    seed: int, tmp_path: Path
) -> None:
    """Decoders conceal damage with pixels of other frames, also of those that nobody asked for."""
    whole = noisy_clip(tmp_path / "clip.mp4", 60, ClipStyle(options=B_FRAMES))
    generator = np.random.default_rng(seed)
    data = bytearray(whole.read_bytes())
    for place in generator.integers(len(data) // 20, len(data) * 9 // 10, 3):
        data[place] ^= int(generator.integers(1, 256))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    few = frames_of(decode(path, SIXTEEN, LimitsConfig(threads=2)))
    every = frames_of(decode(path, SamplingConfig(frames=60), LimitsConfig(threads=1)))
    images = dict(zip(every.frame_index.tolist(), every.images_rgb, strict=True))
    for number, image in zip(few.frame_index.tolist(), few.images_rgb, strict=True):
        np.testing.assert_array_equal(image, images[number])


@pytest.mark.parametrize(
    ("name", "step"), [("mpeg2.mpg", 40), ("mpeg2.mpg", 200), ("h264.mkv", 40)]
)
def test_frames_before_the_damage_are_kept_without_time_stamps(
    name: str, step: int, tmp_path: Path
) -> None:
    whole = write_clip(tmp_path / name, 60, STYLES[name])
    path = corrupt(whole, tmp_path / f"damaged-{name}", 0.5, step)
    assert len(read_all(path)[1]) >= 10
    video = decode(path, SIXTEEN)
    assert video.status == "partial"
    assert_frames_are_those_of_a_full_decode(path, video)


def test_a_stream_that_starts_between_key_frames_has_right_times(
    tmp_path: Path,
) -> None:
    whole = write_clip(tmp_path / "whole.ts", 60, STYLES["h264.ts"])
    data = whole.read_bytes()
    packet = 188
    path = tmp_path / "recorded.ts"
    path.write_bytes(data[len(data) // 5 // packet * packet :])
    video = decode(path, SIXTEEN)
    times, images = read_all(path)
    numbers = [number_in(image) for image in images]
    assert numbers[0] > 0, "the first picture group cannot be decoded"
    frames = frames_of(video)
    decoded = [number_in(image) for image in frames.images_rgb]
    gaps = np.diff(times[[numbers.index(number) for number in decoded]])
    np.testing.assert_allclose(np.diff(frames.pts_seconds), gaps, atol=1e-6)
    assert np.diff(frames.frame_index).tolist() == np.diff(decoded).tolist()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("text.mp4", "decode_error"),
        ("empty.mp4", "decode_error"),
        ("missing.mp4", "decode_error"),
        ("sound.wav", "rejected"),
        ("folder.mp4", "rejected"),
    ],
)
def test_a_file_that_is_not_a_video_fails_with_a_one_line_reason(
    name: str, status: str, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("version https://git-lfs.example/spec/v1\nsize 3\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    write_sound(tmp_path / "sound.wav")
    video = decode(tmp_path / name, SIXTEEN)
    assert video.status == status
    assert video.frames is None
    assert video.reason.strip()
    assert len(video.reason.splitlines()) == 1


def test_equal_files_fail_for_the_same_reason(tmp_path: Path) -> None:
    write_sound(tmp_path / "sound.wav")
    first, second = (decode(tmp_path / "sound.wav", SIXTEEN) for _ in range(2))
    assert (first.status, first.reason) == (second.status, second.reason)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("decord__corrupted.mp4", "partial"),
        ("decord__unordered.mov", "too_few_frames"),
        ("decord__video_90.mov", "too_few_frames"),
        ("decord__video_180.mov", "too_few_frames"),
        ("derived__empty.mp4", "decode_error"),
        ("derived__truncated_half_fomm04.mp4", "decode_error"),
        ("liveportrait__lfs_pointer_d0.mp4", "decode_error"),
        ("moviepy__-video-with-dash-.mp4", "too_few_frames"),
        ("mp4parse__chunk_out_of_range.mp4", "decode_error"),
        ("mp4parse__short-cenc.mp4", "decode_error"),
        ("mp4parse__white.mp4", "ok"),
        ("torchcodec__sine_mono_s16.wav", "rejected"),
        ("moviepy__bitmap.mp4", "too_few_frames"),
        ("moviepy__no_duration.webm", "ok"),
        ("moviepy__pigs_in_a_polka.gif", "ok"),
        ("moviepy__with-attached-pic.mp3", "rejected"),
        ("mp4parse__bipbop_cbcs_video_init.mp4", "decode_error"),
        ("mp4parse__no_timescale.mp4", "partial"),
        ("torchcodec__av1_video.mkv", "ok"),
        ("torchcodec__h264_10bits.mp4", "ok"),
        ("torchcodec__var_fps_video.mp4", "ok"),
    ],
)
def test_files_of_other_projects_test_suites(name: str, status: str, shared: Path) -> None:
    path = shared / "bad_clips" / name
    video = decode(path, SIXTEEN)
    assert video.status == status, video.reason
    if status in {"ok", "too_few_frames"} and not name.startswith("decord__video_"):
        assert_frames_are_those_of_a_full_decode(path, video)  # which does not turn the images


@pytest.mark.parametrize(
    "name",
    [
        "-i.mp4",
        "two words.mp4",
        "concat:a|b.mp4",
        "http:__host.mp4",
        "line\nbreak.mp4",
        "%03d.mp4",
        "Ünï.mp4",
        os.fsdecode(b"latin-\xe9.mp4"),
        "x" * 251 + ".mp4",
    ],
    ids=repr,
)
def test_file_names_are_not_interpreted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path("plain.mp4"), 20).rename(name)
    video = decode(Path(name), SIXTEEN)
    assert video.status == "ok", video.reason
    assert len(frames_of(video)) == 16


def test_a_missing_or_unreadable_file_is_a_transient_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decode(tmp_path / "gone.mp4", SIXTEEN).transient
    (tmp_path / "text.mp4").write_text("no video")
    assert not decode(tmp_path / "text.mp4", SIXTEEN).transient
    write_clip(tmp_path / "a.mp4", 20)
    for number, transient in ((errno.ENOMEM, True), (errno.EMFILE, True), (errno.EIO, False)):
        error = av.error.FFmpegError(number, "from FFmpeg")
        with monkeypatch.context() as patch:
            patch.setattr("deepfake_seq.extract.video.decode.read_timeline", raising(error))
            video = decode(tmp_path / "a.mp4", SIXTEEN)
        assert (video.status, video.transient) == ("decode_error", transient)


def raising(error: Exception) -> Callable[..., None]:
    def call(*arguments: object) -> None:
        raise error

    return call


def test_a_playlist_does_not_open_other_files(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.ts", 20, STYLES["h264.ts"])
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n")
    assert decode(playlist, SIXTEEN).status == "decode_error"


def test_frames_keep_their_shape_if_the_frame_size_changes(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "small.ts", 20, STYLES["h264.ts"])
    later = {"output_ts_offset": "0.8"}
    large = replace(STYLES["h264.ts"], size=(128, 96), container=later)
    write_clip(tmp_path / "large.ts", 20, large)
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + (tmp_path / "large.ts").read_bytes())
    video = decode(path, SIXTEEN)
    assert video.status in {"ok", "partial"}, video.reason
    shapes = [image.shape for image in frames_of(video).images_rgb]
    assert set(shapes) == {(48, 64, 3), (96, 128, 3)}
    assert shapes == sorted(shapes)
    numbers = [number_in(image) for image in frames_of(video).images_rgb]
    assert numbers == [index % 20 for index in frames_of(video).frame_index]
    assert (video.facts["width"], video.facts["height"]) == (64, 48)


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    names = ("h264.mp4", "h264.mkv", "h264.ts", "mpeg2.mpg")
    return {name: write_clip(folder / name, 20, STYLES[name]).read_bytes() for name in names}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["h264.mp4", "h264.mkv", "h264.ts", "mpeg2.mpg"]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8),
    share=st.floats(0, 1),
)
@example(name="h264.ts", flips=[(0.24474080701217596, 2)], share=1.0)  # a time stamp
def test_decoding_never_raises_and_its_result_is_consistent(
    clip_bytes: dict[str, bytes],
    tmp_path: Path,
    name: str,
    flips: list[tuple[float, int]],
    share: float,
) -> None:
    data = bytearray(clip_bytes[name])
    for place, value in flips:
        data[int(place * len(data))] ^= value
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    video = decode(path, SIXTEEN)
    assert video.status in STATUSES
    assert (video.reason == "") == (video.status == "ok")
    # Damage can make FFmpeg take the file for a container that is not supported.
    assert (video.frames is None) == (video.status in ("decode_error", "rejected"))
    if video.frames is not None:
        count = len(video.frames)
        assert 1 <= count <= 16
        assert len(video.frames.images_rgb) == count
        assert video.frames.pts_seconds.shape == (count,)
        assert np.all(np.diff(video.frames.frame_index) > 0)
        assert np.all(np.diff(video.frames.pts_seconds) > 0)
        assert video.status != "ok" or count == 16


def test_only_frames_in_the_time_span_are_sampled(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 100)
    video = decode(path, SIXTEEN, span=(1.0, 2.0))
    frames = frames_of(video)
    assert (video.status, len(frames)) == ("ok", 16)
    assert 25 <= frames.frame_index[0] < 27 and 47 <= frames.frame_index[-1] < 50
    np.testing.assert_allclose(video.timeline_seconds, np.arange(100) / 25)
    np.testing.assert_array_equal(frames.pts_seconds, video.timeline_seconds[frames.frame_index])
    assert [number_in(image) for image in frames.images_rgb] == frames.frame_index.tolist()
    short = decode(path, SIXTEEN, span=(3.8, 60.0))
    assert frames_of(short).frame_index.tolist() == [95, 96, 97, 98, 99]
    assert (short.status, short.reason) == (
        "too_few_frames",
        "the video has 5 frames from 3.8 to 60 s",
    )
    nothing = decode(path, SIXTEEN, span=(7.0, 8.0))
    assert (nothing.status, nothing.reason) == (
        "decode_error",
        "the video has no frames from 7 to 8 s",
    )


def test_a_decoding_process_imports_no_deep_learning_framework() -> None:
    code = "import deepfake_seq.extract.video.decoder_pool, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "keras", "openvino", "torch", "jax"} & set(result.stdout.split())


def test_frames_have_the_colours_that_were_encoded(tmp_path: Path) -> None:
    image: npt.NDArray[np.uint8] = np.zeros((64, 64, 3), dtype=np.uint8)
    image[...] = (220, 60, 20)
    path = write_images(tmp_path / "red.mp4", [image] * 16)
    decoded = frames_of(decode(path, SIXTEEN)).images_rgb[8][32, 32].astype(int)
    assert np.abs(decoded - (220, 60, 20)).max() <= 12
