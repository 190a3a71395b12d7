"""Tests of the commands that maintain stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import deepseq
from records import FACES, make_faces, make_record, payload, write_store

from deepfake_seq.store import Record, faces_of

RECORDS = [make_record("a.mp4"), make_record("b.mp4", seed=1), make_record("c.mp4", valid=0)]
FACE_RECORDS = [make_faces("a.mp4"), make_faces("b.mp4", seed=1), make_faces("c.mp4", valid=0)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "s", RECORDS)
    return tmp_path / "s"


@pytest.fixture
def faces(store: Path) -> Path:
    """The face cache of the store."""
    FACES.write(faces_of(store), FACE_RECORDS)
    return faces_of(store)


def damage(store: Path, record: Record = RECORDS[1]) -> None:
    """Flip a bit in the features or faces of a record."""
    content = payload(record)
    shard = next(path for path in store.glob("*.h5") if content in path.read_bytes())
    data = bytearray(shard.read_bytes())
    data[data.index(content)] ^= 1
    shard.write_bytes(bytes(data))


def test_verify_reports_an_intact_store(store: Path) -> None:
    result = deepseq("verify", store)
    assert result.exit_code == 0
    assert "3 videos: 2 ok, 1 no_face" in result.stdout
    assert not result.stderr


def test_verify_names_damaged_videos_and_the_repair_command(store: Path) -> None:
    damage(store)
    result = deepseq("verify", store)
    assert result.exit_code == 1
    assert "2 videos: 1 ok, 1 no_face" in result.stdout
    assert f"bad          b.mp4: {store}/shard-" in result.stdout
    assert f"deepseq verify --repair {store}" in result.stderr


def test_repair_lists_the_videos_to_extract_again(store: Path) -> None:
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


def test_verify_checks_the_face_cache_of_a_store(store: Path, faces: Path) -> None:
    result = deepseq("verify", store)
    assert result.exit_code == 0 and not result.stderr
    assert f"store        {store}, " in result.stdout
    assert f"store        {faces}, " in result.stdout
    report = json.loads(deepseq("verify", store, "--json").stdout)
    assert report["whole"] and report["faces"]["whole"]
    assert report["faces"]["store"] == str(faces)
    assert "faces" not in json.loads(deepseq("verify", faces, "--json").stdout)


def test_damaged_faces_are_named_and_repaired_with_the_features(store: Path, faces: Path) -> None:
    damage(faces, FACE_RECORDS[1])
    result = deepseq("verify", store)
    assert result.exit_code == 1
    assert f"bad          b.mp4: {faces}/shard-" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line == (
        f"deepseq: {faces} is damaged. `deepseq verify --repair {store}` saves the intact records."
    )
    report = json.loads(deepseq("verify", store, "--json").stdout)
    assert report["whole"] and not report["faces"]["whole"]
    assert report["faces"]["extract_again"] == ["b.mp4"]
    assert deepseq("verify", "--repair", store).exit_code == 3
    assert deepseq("verify", store).exit_code == 0


def test_verify_checks_a_face_cache_alone(faces: Path) -> None:
    damage(faces, FACE_RECORDS[0])
    assert deepseq("verify", faces).exit_code == 1
    result = deepseq("verify", "--repair", faces)
    assert result.exit_code == 3
    assert "extract      a.mp4" in result.stdout


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
    assert result.stdout == f"{tmp_path / 'out'}: 4 videos, 4 new\n"
    result = deepseq("merge", store, "--out", tmp_path / "out", "--json")
    assert json.loads(result.stdout) == {"store": str(tmp_path / "out"), "videos": 4, "added": 0}


def test_merge_joins_the_face_caches_too(store: Path, faces: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "t", [make_record("d.mp4")])
    out = tmp_path / "out"
    result = deepseq("merge", store, tmp_path / "t", "--out", out)
    assert result.exit_code == 0
    assert result.stdout == f"{out}: 4 videos, 4 new\n"
    (line,) = result.stderr.splitlines()
    assert line == f"deepseq: faces were not merged: no face cache in {tmp_path / 't'}"
    FACES.write(faces_of(tmp_path / "t"), [make_faces("d.mp4")])
    result = deepseq("merge", store, tmp_path / "t", "--out", out)
    assert not result.stderr
    assert f"{out / 'faces'}: faces of 4 videos, 4 new\n" in result.stdout
    result = deepseq("merge", store, tmp_path / "t", "--out", tmp_path / "other", "--json")
    assert json.loads(result.stdout)["faces"] == {
        "store": str(tmp_path / "other" / "faces"),
        "videos": 4,
        "added": 4,
    }
    assert json.loads(deepseq("verify", out, "--json").stdout)["faces"]["videos"] == 4


def test_info_describes_the_face_cache(store: Path, faces: Path) -> None:
    result = deepseq("info", store)
    assert f"faces        {faces}, 0.0 MB, of 3 videos" in result.stdout
    about = json.loads(deepseq("info", store, "--json").stdout)
    size = sum(path.stat().st_size for path in faces.glob("*.h5"))
    assert about["faces"] == {"store": str(faces), "videos": 3, "bytes": size}
    result = deepseq("info", faces)
    assert f"store        {faces}, 0.0 MB of faces" in result.stdout
    assert "images       webp, " in result.stdout
    assert "failed       c.mp4: no_face" in result.stdout
    about = json.loads(deepseq("info", faces, "--json").stdout)
    assert about["videos"] == 3 and about["bytes"] == size
    assert about["images"] == {"format": "webp", "bytes_per_video": size // 2}
    assert "faces" not in about


def test_info_counts_views_separately(store: Path) -> None:
    about = json.loads(deepseq("info", store, "--json").stdout)
    assert about["views"] == 0 and "faces" not in about and "images" not in about
    assert "\nviews" not in deepseq("info", store).stdout
    facts = {"view": {"kind": "blend"}}
    write_store(
        store,
        [
            make_record("a.mp4@view1", facts=facts),
            make_record("a.mp4@blend1", label=1, facts=facts),
            make_record("a.mp4@view2", valid=0, facts=facts),
        ],
    )
    result = deepseq("info", store)
    assert "videos       3 videos, 3 real" in result.stdout
    assert "views        3 for training only" in result.stdout
    assert "@" not in result.stdout
    about = json.loads(deepseq("info", store, "--json").stdout)
    assert (about["videos"], about["views"]) == (3, 3)
    assert about["by_label"] == {"0": 3}
    assert about["by_status"] == {"ok": 2, "no_face": 1}


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
def test_a_missing_store_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    result = deepseq(*arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
