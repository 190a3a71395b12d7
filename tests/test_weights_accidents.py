from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from deepfake_seq import weights
from deepfake_seq.errors import DeepseqError, WeightsError

ONNX = b"\x08\x07 not much of a network"


pytestmark = pytest.mark.usefixtures("empty_home")


class Site(BaseHTTPRequestHandler):
    body, length, chunked = ONNX, len(ONNX), False

    def do_GET(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        if self.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"100\r\n" + self.body)
        else:
            self.send_header("Content-Length", str(self.length))
            self.end_headers()
            self.wfile.write(self.body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Site]]:
    class TestSite(Site):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), TestSite) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{httpd.server_port}/x"
        row = replace(weights.WEIGHTS["retinaface"], url=url)
        monkeypatch.setitem(weights.WEIGHTS, "retinaface", row)
        yield TestSite
        httpd.shutdown()
        thread.join()


def test_an_interrupted_download_is_not_kept(site: type[Site], empty_home: Path) -> None:
    site.length = 10_000
    with pytest.raises(WeightsError):
        weights.fetch("retinaface")
    assert weights.find("retinaface") is None


def test_an_interrupted_chunked_download_is_an_expected_error(site: type[Site]) -> None:
    site.chunked = True
    with pytest.raises(WeightsError):
        weights.fetch("retinaface")
    assert weights.find("retinaface") is None


def test_a_file_changed_by_its_publisher_does_not_replace_the_first(
    site: type[Site],
) -> None:
    path = weights.fetch("retinaface")
    site.body, site.length = ONNX + b"!", len(ONNX) + 1
    with pytest.raises(WeightsError):
        weights.fetch("retinaface")
    assert path.read_bytes() == ONNX


def test_a_file_of_another_library_in_another_format_is_refused(empty_home: Path) -> None:
    theirs = empty_home / ".deepface" / "weights" / "retinaface.onnx"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("<html>")
    with pytest.raises(WeightsError, match="no ONNX file"):
        weights.require(["retinaface"])


def test_an_unwritable_home_is_an_expected_error(empty_home: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(ONNX)
    empty_home.mkdir()
    (empty_home / "deepseq").touch()
    with pytest.raises(DeepseqError):
        weights.import_file("retinaface", tmp_path / "net.onnx")


def test_a_file_of_another_library_is_used_if_the_home_is_unwritable(
    empty_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = empty_home / ".deepface" / "weights" / "retinaface.onnx"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(ONNX)
    (empty_home / "deepseq").touch()
    for _ in range(2):
        assert weights.require(["retinaface"]) == [theirs]
    (message,) = caplog.messages
    assert "cannot record the SHA-256" in message and "DEEPSEQ_HOME" in message


def test_a_download_without_room_names_the_place_and_the_size(
    site: type[Site], empty_home: Path
) -> None:
    empty_home.mkdir()
    (empty_home / "deepseq").touch()
    with pytest.raises(weights.DownloadError, match=rf"\({len(ONNX)} bytes\).* in {empty_home}"):
        weights.fetch("retinaface")


def test_a_damaged_ledger_is_an_expected_error(empty_home: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(ONNX)
    path = weights.import_file("retinaface", tmp_path / "net.onnx")
    (path.parent / "sha256.json").write_text("{")
    with pytest.raises(DeepseqError):
        weights.require(["retinaface"])


@pytest.mark.parametrize(
    ("name", "module", "base"),
    [
        ("inception_v3", "inception_v3", "WEIGHTS_PATH_NO_TOP"),
        ("vgg16", "vgg16", "WEIGHTS_PATH_NO_TOP"),
        ("resnet50", "resnet", "BASE_WEIGHTS_PATH"),
        ("efficientnet_b1", "efficientnet", "BASE_WEIGHTS_PATH"),
    ],
)
def test_the_url_is_that_of_keras(name: str, module: str, base: str) -> None:
    import ast

    spec = find_spec("keras")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0], "src", "applications", f"{module}.py")
    (value,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == base
    )
    row = weights.WEIGHTS[name]
    assert row.url == (value if base == "WEIGHTS_PATH_NO_TOP" else value + row.filename)
