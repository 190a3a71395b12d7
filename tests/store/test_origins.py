"""Where the videos of a store were: a hint that readers ignore and several writers share."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from children import environment
from records import FEATURES, make_record, write_store

from deepfake_seq.store import FeatureStore
from deepfake_seq.store.origins import FILE_NAME, Origin, Origins

SHA256 = "0123456789abcdef" * 4


def test_an_origin_counts_only_for_the_content_it_was_noted_for(tmp_path: Path) -> None:
    with FEATURES.writer.create(tmp_path, FEATURES.description) as writer:
        writer.update_origins(
            {"a.mp4": Origin.of("/data/a", SHA256), "b.mp4": Origin.of("/data", "")}
        )
    origins = Origins.read(tmp_path)
    assert origins.root_of("a.mp4", SHA256) == "/data/a"
    assert origins.root_of("a.mp4", SHA256[::-1]) is None
    assert origins.root_of("b.mp4", "") == "/data"
    assert origins.root_of("c.mp4", SHA256) is None
    assert origins.roots == ["/data", "/data/a"]


def test_names_that_are_not_unicode_survive(tmp_path: Path) -> None:
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    with FEATURES.writer.create(tmp_path, FEATURES.description) as writer:
        writer.update_origins({name: Origin.of(f"/{name}", SHA256)})
    assert Origins.read(tmp_path).root_of(name, SHA256) == f"/{name}"


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"format": "deepseq-origins", "format_version": 2}', b"[" * 9**5],
)
def test_damaged_origins_are_ignored_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    write_store(tmp_path, [make_record()])
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert not Origins.read(tmp_path)
    assert f"{tmp_path / FILE_NAME} is ignored" in caplog.text
    assert len(FeatureStore.open(tmp_path)) == 1
    with FEATURES.writer.create(tmp_path, FEATURES.description) as writer:
        writer.update_origins({"a.mp4": Origin.of("/data", SHA256)})
    assert Origins.read(tmp_path).roots == ["/data"]


def test_no_origin_is_lost_when_several_processes_add_some(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from records import FEATURES\n"
        "from deepfake_seq.store.origins import Origin\n"
        "with FEATURES.writer.create(Path(sys.argv[1]), FEATURES.description) as writer:\n"
        "    for number in range(20):\n"
        "        writer.update_origins({f'{sys.argv[2]}/{number}': Origin('/data', '')})\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, f"{n}"], env=environment())
        for n in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert len(Origins.read(tmp_path)) == 60
