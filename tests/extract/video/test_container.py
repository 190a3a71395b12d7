"""Files that are not opened, and limits."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import STYLES, write_clip, write_sound

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.extract.video.decode import DecodedVideo, decode
from deepfake_seq.extract.video.isolated_process import IsolatedProcess

SIXTEEN = SamplingConfig()
LIMITS = LimitsConfig()


def rejected(video: DecodedVideo, reason: str) -> None:
    assert video.status == "rejected"
    assert reason in video.reason
    assert video.frames is None and not video.transient


@pytest.mark.parametrize("codec", ["ffv1", "huffyuv", "wmv2", "rawvideo"])
def test_an_unsupported_codec_is_rejected(codec: str, tmp_path: Path) -> None:
    style = replace(STYLES["mjpeg.avi"], codec=codec, pixel_format="yuv420p")
    if codec == "huffyuv":
        style = replace(style, pixel_format="yuv422p")
    path = write_clip(tmp_path / "clip.avi", 5, style)
    rejected(decode(path, SIXTEEN), f"codec {codec} is not supported")


def test_an_unsupported_container_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    write_sound(path)
    rejected(decode(path, SIXTEEN), "container wav is not supported")


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "file.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{file}\n#EXT-X-ENDLIST\n",
    "a.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "concat.mp4": "ffconcat version 1.0\nfile {file}\n",
    "url.txt": "ffconcat version 1.0\nfile {url}\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n",
    "a.mpd": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{url}</BaseURL></MPD>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_opens_no_file_and_no_connection(name: str, tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    outside = write_clip(tmp_path / "outside.mp4", 20)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        path = tmp_path / name
        url = f"http://127.0.0.1:{port}/x.ts"
        path.write_text(PLAYLISTS[name].format(url=url, file=outside, port=port))
        code = (
            "import sys; from pathlib import Path\n"
            "from deepfake_seq.config import SamplingConfig\n"
            "from deepfake_seq.extract.video.decode import decode\n"
            "print(decode(Path(sys.argv[1]), SamplingConfig()).status)"
        )
        trace = tmp_path / "trace"
        command = ["strace", "-f", "-e", "trace=open,openat,connect", "-o", str(trace)]
        result = subprocess.run(
            [*command, sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        with pytest.raises(TimeoutError):
            server.accept()
    assert result.stdout.strip() in ("rejected", "decode_error")
    calls = trace.read_text()
    assert name in calls
    assert "outside.mp4" not in calls
    assert "connect(" not in calls


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/a.mp4", "concat:a.mp4|a.mp4", "pipe:0"])
def test_a_name_like_a_url_is_a_missing_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "a.mp4", 5)
    video = decode(Path(name), SIXTEEN)
    assert (video.status, video.transient) == ("decode_error", True)


def test_a_special_file_is_rejected_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "pipe.mp4", tmp_path / "folder.mp4", Path("/dev/zero")):
        rejected(decode(path, SIXTEEN), "not a regular file")


def test_a_file_over_the_size_limit_is_rejected_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    rejected(decode(path, SIXTEEN), "a file of 1099.5 GB exceeds the limit of 17.2 GB")


def test_frames_over_the_pixel_limit_are_rejected(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 20)
    rejected(
        decode(path, SIXTEEN, LimitsConfig(pixels=64 * 48 - 1)),
        "frames of 64×48 pixels exceed the limit",
    )
    assert decode(path, SIXTEEN, LimitsConfig(pixels=64 * 48)).status == "ok"


@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "mpeg4.avi"])
def test_a_video_over_the_frame_limit_is_rejected(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, 40, STYLES[name])
    rejected(decode(path, SIXTEEN, LimitsConfig(frames=39)), "more than 39 frames")
    assert decode(path, SIXTEEN, LimitsConfig(frames=40)).status == "ok"


def test_a_video_that_is_too_long_is_rejected(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 40)  # 1.6 s
    too_long = decode(path, SIXTEEN, LimitsConfig(duration_seconds=1.5))
    rejected(too_long, r"a video of 1.6 s exceeds the limit of 1.5 s")
    assert decode(path, SIXTEEN, LimitsConfig(duration_seconds=2)).status == "ok"


def test_a_file_that_changes_while_being_read_is_a_transient_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepfake_seq.extract.video import decode as decoding

    path = write_clip(tmp_path / "a.mp4", 20)
    other = write_clip(tmp_path / "b.mp4", 30)
    real = decoding.read_timeline

    def change(*arguments: object) -> object:
        timeline = real(*arguments)  # type: ignore[arg-type]
        shutil.copy(other, path)
        return timeline

    monkeypatch.setattr(decoding, "read_timeline", change)
    decoded = decode(path, SIXTEEN)
    assert (decoded.status, decoded.transient) == ("decode_error", True)
    assert decoded.reason == "the file changed while it was read"


def most_memory(path: Path) -> tuple[str, int]:
    """Decode a file in a separate process; return its status and the peak memory use."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = decode(path, SIXTEEN).status
    return status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def write_bomb(path: str) -> None:
    """An H.264 file of a few hundred kB with one grey frame of 134 megapixels."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16384, 8192, "yuv420p"
        lean = "rc-lookahead=0:bframes=0:ref=1:sync-lookahead=0:sliced-threads=0"
        stream.options = {"preset": "ultrafast", "threads": "1", "x264-params": lean}
        frame = av.VideoFrame(16384, 8192, "yuv420p")
        for plane in frame.planes:
            plane.update(np.full(plane.buffer_size, 128, np.uint8))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bomb.mp4", "bomb.mkv"])
def test_a_decompression_bomb_is_rejected_before_decoding(name: str, tmp_path: Path) -> None:
    maker = IsolatedProcess(LimitsConfig(memory_bytes=4 << 30))
    maker.call(write_bomb, str(tmp_path / name))
    maker.close()
    assert (tmp_path / name).stat().st_size < 1_000_000
    process = IsolatedProcess(LIMITS)
    process.call(most_memory, write_clip(tmp_path / "a.mp4", 2))
    status, kilobytes = process.call(most_memory, tmp_path / name)
    process.close()
    assert status == "rejected"
    assert kilobytes < 100_000  # one decoded frame alone would be 200 MB
    assert threading.active_count() < 50
