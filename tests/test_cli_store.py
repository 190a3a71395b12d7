"""The commands that care for stores, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import deepseq
from records import make_record, write_store

RECORDS = [make_record("a.mp4"), make_record("b.mp4", seed=1), make_record("c.mp4", valid=0)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "s", RECORDS)
    return tmp_path / "s"


def damage(store: Path) -> None:
    """Flip a bit in the features of b.mp4."""
    features = RECORDS[1].features.tobytes()
    shard = next(path for path in store.glob("*.h5") if features in path.read_bytes())
    data = bytearray(shard.read_bytes())
    data[data.index(features)] ^= 1
    shard.write_bytes(bytes(data))


def test_verify_says_that_a_store_is_whole(store: Path) -> None:
    result = deepseq("verify", store)
    assert result.exit_code == 0
    assert "3 videos: 2 ok, 1 no_face" in result.stdout
    assert not result.stderr


def test_verify_names_what_is_damaged_and_what_to_do(store: Path) -> None:
    damage(store)
    result = deepseq("verify", store)
    assert result.exit_code == 1
    assert "2 videos: 1 ok, 1 no_face" in result.stdout
    assert f"bad          b.mp4: {store}/shard-" in result.stdout
    assert f"deepseq verify --repair {store}" in result.stderr


def test_repair_says_what_to_extract_again(store: Path) -> None:
    damage(store)
    result = deepseq("verify", "--repair", store)
    assert result.exit_code == 3
    assert "set aside    quarantine/shard-" in result.stdout
    assert "extract      b.mp4" in result.stdout
    assert deepseq("verify", store).exit_code == 0
    assert deepseq("verify", "--repair", store).exit_code == 0


def test_verify_prints_one_json_document(store: Path) -> None:
    damage(store)
    result = deepseq("verify", store, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["whole"] is False
    assert report["by_status"] == {"ok": 1, "no_face": 1}
    assert report["bad_records"][0]["video_id"] == "b.mp4"
    assert report["extract_again"] == ["b.mp4"]


def test_a_damaged_store_is_not_trained_on(store: Path, tmp_path: Path) -> None:
    damage(store)
    result = deepseq("fit", "--features", store, "--out", tmp_path / "run")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("deepseq: b.mp4: ") and "deepseq verify --repair" in line
    assert not (tmp_path / "run").exists()


def test_merge_joins_stores(store: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "t", [make_record("d.mp4")])
    result = deepseq("merge", store, tmp_path / "t", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out'}: 4 videos, 4 of them new\n"
    result = deepseq("merge", store, "--out", tmp_path / "out", "--json")
    assert json.loads(result.stdout) == {"store": str(tmp_path / "out"), "videos": 4, "added": 0}


def test_merge_names_the_video_that_differs(store: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "t", [make_record("a.mp4", label=1)])
    result = deepseq("merge", store, tmp_path / "t", "--out", tmp_path / "out")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "a.mp4 (label, in " in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify"], 1),
        (["verify", "none"], 1),
        (["merge", "none", "--out", "x"], 2),
        (["merge"], 2),
    ],
)
def test_what_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    result = deepseq(*arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
