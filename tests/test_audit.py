"""Append-only logs with a chain of hashes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import deepseq
from children import run_python

from deepfake_seq import audit
from deepfake_seq.errors import DeepseqError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    for number in range(5):
        audit.append(path, {"clip": f"{number}.mp4", "verdict": "real", "score": 0.1 * number})
    return path


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def test_a_log_that_was_only_appended_to_is_whole(log: Path) -> None:
    report = audit.verify(log)
    assert report.is_whole and report.entries == 5
    entries = [json.loads(line) for line in lines_of(log)]
    assert report.last_hash == entries[-1]["hash"]
    assert [entry["previous"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]
    assert [entry["clip"] for entry in entries] == [f"{number}.mp4" for number in range(5)]


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (lambda lines: [lines[0], lines[1].replace("real", "fake"), *lines[2:]], 2, "was changed"),
        (lambda lines: [lines[0], *lines[2:]], 2, "removed"),
        (lambda lines: lines[1:], 1, "entries before it were removed"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2, "moved"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3, "inserted"),
        (lambda lines: [*lines[:4], lines[4][:-20]], 5, "incomplete"),
        (lambda lines: [*lines[:3], "not JSON\n"], 4, "not JSON"),
    ],
    ids=["changed", "removed", "head removed", "swapped", "repeated", "torn", "foreign"],
)
def test_the_first_broken_link_is_named(
    log: Path, change: Callable[[list[str]], list[str]], line: int, reason: str
) -> None:
    log.write_text("".join(change(lines_of(log))))
    report = audit.verify(log)
    assert report.broken_line == line and reason in report.reason
    assert report.entries == line - 1


def test_nothing_is_appended_to_a_torn_or_foreign_file(log: Path, tmp_path: Path) -> None:
    torn = log.read_bytes()[:-3]
    log.write_bytes(torn)
    with pytest.raises(DeepseqError, match="nothing can be appended"):
        audit.append(log, {})
    assert log.read_bytes() == torn
    other = tmp_path / "notes.txt"
    other.write_text("my notes\n")
    with pytest.raises(DeepseqError, match="nothing can be appended"):
        audit.append(other, {})
    assert other.read_text() == "my notes\n"


def test_two_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "import os, threading; from pathlib import Path; from deepfake_seq import audit\n"
        "def write(name):\n"
        "    for number in range(20):\n"
        "        audit.append(Path(os.environ['LOG']), {'clip': f'{name}{number}'})\n"
        "names = os.environ['NAMES'].split()\n"
        "threads = [threading.Thread(target=write, args=(name,)) for name in names]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    writers = [
        threading.Thread(target=run_python, args=(code,), kwargs={"LOG": str(path), "NAMES": names})
        for names in ("a b", "c d")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    report = audit.verify(path)
    assert report.is_whole and report.entries == 80
    clips = {json.loads(line)["clip"] for line in lines_of(path)}
    assert len(clips) == 80


def test_verify_checks_a_log(log: Path) -> None:
    result = deepseq("verify", log)
    assert result.exit_code == 0 and "5 entries" in result.stdout
    assert audit.verify(log).last_hash in result.stdout
    log.write_text(log.read_text().replace("2.mp4", "9.mp4"))
    result = deepseq("verify", log)
    assert result.exit_code == 1
    assert "line 3: its content does not match its hash" in result.stdout
    document = json.loads(deepseq("verify", log, "--json").stdout)
    assert (document["whole"], document["broken_line"], document["entries"]) == (False, 3, 2)
    assert deepseq("verify", log, "--repair").exit_code == 2
