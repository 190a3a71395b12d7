"""`deepseq serve`, as started from a shell."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import brightness
import httpx
import pytest
from calling import deepseq
from children import environment

from deepfake_seq.serve.spool import Spool


def test_serve_prints_its_address_and_ends_on_a_signal(tmp_path: Path) -> None:
    brightness.write_run(tmp_path / "runs" / "grey")
    arguments = ["serve", "--port", "0", "--spool", "spool", "--max-size", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "deepfake_seq", *arguments],
        env=environment(),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline().strip()
        found = re.fullmatch(
            r"deepseq: open (http://127\.0\.0\.1:\d+/) in a browser; Ctrl-C stops the server",
            line,
        )
        assert found, line
        assert httpx.get(f"{found[1]}healthz", timeout=60).json() == {"status": "ok"}
        about = httpx.get(f"{found[1]}v1/about", timeout=60).json()
        assert about["limits"] == {"bytes": 2_000_000, "seconds": 600.0, "keep_minutes": 60.0}
        assert [run["run"] for run in about["runs"]] == ["runs/grey"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_serve_refuses_the_network_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPSEQ_TOKEN", raising=False)
    result = deepseq("serve", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "needs --token or DEEPSEQ_TOKEN" in result.stderr
    monkeypatch.setenv("DEEPSEQ_TOKEN", "short")
    result = deepseq("serve", "--host", "0.0.0.0")
    assert result.exit_code == 2 and "at least 16" in result.stderr


def test_serve_names_a_port_or_folder_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = deepseq("serve", "--port", port, "--spool", tmp_path / "a")
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in result.stderr
    with Spool(tmp_path / "b"):
        result = deepseq("serve", "--port", 0, "--spool", tmp_path / "b")
    assert result.exit_code == 2
    assert f"another server uses {tmp_path / 'b'}" in result.stderr


def test_serve_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = deepseq("serve")
    assert result.exit_code == 1
    assert "pip install 'deepfake-seq[web]'" in result.stderr
