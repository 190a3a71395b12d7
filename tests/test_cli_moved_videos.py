"""What happens to a store when its videos are moved, renamed, deleted, or share their names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from calling import deepseq
from click.testing import Result
from clips import numbered, write_images
from decoding import DecodersHere
from mean_cnn import MeanCnn

from deepfake_seq.extract import extractor
from deepfake_seq.store import FaceStore, FaceStoreWriter, FeatureStore, faces_of
from deepfake_seq.store.origins import FILE_NAME, Origins
from deepfake_seq.store.store import Store

CNN = (
    *("--backbone", "vgg16", "--weights", "untrained"),
    *("--evidence", "features", "--workers", "1"),
)
OPTIONS = ("--detector", "none", "--frames", "8", *CNN)
VIEWS = ("--augment", "all", "--views", "1")
SIZE = (48, 48)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process, with a CNN that costs nothing."""
    monkeypatch.setattr(extractor, "Decoders", DecodersHere)
    monkeypatch.setattr(
        "deepfake_seq.extract.evidence.evidence.build_runtime", lambda *_: MeanCnn()
    )


def write(path: Path, number: int) -> Path:
    """Write a clip that shows a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_images(path, [numbered(number, SIZE)] * 8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of two real and two fake clips, with the same names."""
    for number, name in enumerate(("real/1.mp4", "real/2.mp4", "fake/1.mp4", "fake/2.mp4")):
        write(tmp_path / "data" / name, 10 + number)
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def extract(*arguments: object) -> Result:
    return deepseq("extract", *arguments, *OPTIONS)


def extracted(*arguments: object) -> dict[str, Any]:
    """Extract, and return the JSON document."""
    result = extract(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def labels(store: Path | Store[Any]) -> dict[str, int]:
    records = FeatureStore.open(store) if isinstance(store, Path) else store
    return {record.video_id: record.label for record in records}


def refusal(result: Result) -> str:
    """Return the error message, without the warning about the untrained CNN."""
    assert result.exit_code == 1
    return result.stderr.rpartition("deepseq: ")[2]


# A video never replaces another one of the same name


def test_a_second_folder_with_the_same_names_is_refused_and_nothing_is_lost(
    data: Path, store: Path
) -> None:
    assert extracted(data / "real", "--out", store)["ok"] == 2
    before = FeatureStore.open(store)["1.mp4"].sha256
    message = refusal(extract(data / "fake", "--out", store))
    assert message.splitlines() == [
        f"2 videos have the names of other videos in {store}. Nothing was extracted.",
        "  1.mp4",
        f"    in the store  {data}/real/1.mp4",
        f"    now           {data}/fake/1.mp4",
        "  2.mp4",
        f"    in the store  {data}/real/2.mp4",
        f"    now           {data}/fake/2.mp4",
        f"Extract the folder that contains both, {data}, or give another --out.",
        "If a file was replaced on purpose, remove its old record first: "
        f"`deepseq remove {store} 1.mp4`",
    ]
    assert labels(store) == {"1.mp4": 0, "2.mp4": 0}
    assert FeatureStore.open(store)["1.mp4"].sha256 == before


def test_their_common_folder_is_the_way_out_and_extracts_only_the_new_videos(
    data: Path, store: Path
) -> None:
    extracted(data / "real", "--out", store)
    document = extracted(data, "--out", store)
    assert (document["ok"], document["skipped"]) == (2, 2)
    assert document["moved"] == {"1.mp4": "real/1.mp4", "2.mp4": "real/2.mp4"}
    expected = {"fake/1.mp4": 1, "fake/2.mp4": 1, "real/1.mp4": 0, "real/2.mp4": 0}
    assert labels(store) == expected
    again = extracted(data / "real", "--out", store)  # they keep their longer names
    assert (again["ok"], again["skipped"], again["moved"]) == (0, 2, {})
    assert labels(store) == expected


def test_one_clip_given_alone_keeps_its_record_and_its_label(data: Path, store: Path) -> None:
    clip = data / "real" / "person" / "3.mp4"
    write(clip, 30)
    extracted(data, "--out", store)
    document = extracted(clip, "--out", store)
    assert (document["videos"], document["skipped"]) == (1, 1)
    assert labels(store)["real/person/3.mp4"] == 0 and len(labels(store)) == 5


def test_single_files_with_the_same_name_are_refused(data: Path, store: Path) -> None:
    extracted(data / "real" / "1.mp4", "--out", store)
    message = refusal(extract(data / "fake" / "1.mp4", "--out", store))
    assert "1 videos have the names" in message
    assert extracted(data / "real" / "1.mp4", "--out", store)["skipped"] == 1


def test_a_changed_file_at_the_same_path_is_extracted_again(data: Path, store: Path) -> None:
    extracted(data, "--out", store)
    write(data / "real" / "1.mp4", 99)
    document = extracted(data, "--out", store)
    assert (document["ok"], document["skipped"]) == (1, 3)


def test_a_data_set_that_was_moved_or_copied_is_not_extracted_again(
    data: Path, store: Path, tmp_path: Path
) -> None:
    extracted(data, "--out", store)
    data.rename(tmp_path / "elsewhere")
    assert extracted(tmp_path / "elsewhere", "--out", store)["skipped"] == 4
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copy", copy_function=shutil.copyfile)
    assert extracted(tmp_path / "copy", "--out", store)["skipped"] == 4
    assert Origins.read(store).roots == [str(tmp_path / "copy")]
    write(tmp_path / "copy" / "real" / "1.mp4", 99)  # its origin is known to be the copy now
    assert extracted(tmp_path / "copy", "--out", store)["ok"] == 1


def test_a_link_to_the_data_set_is_the_same_folder(data: Path, store: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    extracted(data, "--out", store)
    write(data / "real" / "1.mp4", 99)
    assert extracted(link, "--out", store)["ok"] == 1
    assert Origins.read(store).roots == [str(data)]


def test_a_link_that_leads_to_another_folder_now_is_another_folder(
    data: Path, store: Path, tmp_path: Path
) -> None:
    link = tmp_path / "current"
    link.symlink_to(data / "real")
    extracted(link, "--out", store)
    link.unlink()
    link.symlink_to(data / "fake")
    assert "2 videos have the names" in refusal(extract(link, "--out", store))


def test_two_folders_in_one_call_do_not_replace_each_other_later(
    data: Path, store: Path, tmp_path: Path
) -> None:
    write(tmp_path / "other" / "x.mp4", 70)
    extracted(data / "real", tmp_path / "other", "--out", store)
    write(tmp_path / "other" / "1.mp4", 71)
    assert "1 videos have the names" in refusal(extract(tmp_path / "other", "--out", store))


@pytest.mark.parametrize("content", [None, "", "{}", '{"format": "deepseq-origins", "roots": 1}'])
def test_a_store_without_origins_loses_nothing_and_learns_them(
    data: Path, store: Path, content: str | None
) -> None:
    extracted(data / "real", "--out", store)
    (store / FILE_NAME).unlink()
    if content is not None:
        (store / FILE_NAME).write_text(content)
    message = refusal(extract(data / "fake", "--out", store))
    assert "in the store  a path that is not recorded" in message
    assert extracted(data / "real", "--out", store)["skipped"] == 2
    write(data / "real" / "1.mp4", 99)
    assert extracted(data / "real", "--out", store)["ok"] == 1


def test_an_origin_of_another_content_does_not_count(data: Path, store: Path) -> None:
    extracted(data / "real", "--out", store)
    origins = json.loads((store / FILE_NAME).read_text())
    origins["roots"] = {str(data / "fake"): {"1.mp4": "0" * 16, "2.mp4": "0" * 16}}
    (store / FILE_NAME).write_text(json.dumps(origins))
    assert "2 videos have the names" in refusal(extract(data / "fake", "--out", store))


def test_cached_faces_of_other_videos_do_not_replace_features(
    data: Path, store: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    extracted(data / "real", "--out", one, "--keep-faces")
    extracted(data / "fake", "--out", other, "--keep-faces")
    assert deepseq("extract", "--from-faces", one, "--out", store, *CNN).exit_code == 0
    message = refusal(deepseq("extract", "--from-faces", other, "--out", store, *CNN))
    assert f"    now           {other}/faces/1.mp4\n" in message
    assert "\nGive another --out.\n" in message
    write(data / "real" / "1.mp4", 99)
    extracted(data / "real", "--out", one)
    result = deepseq("extract", "--from-faces", one, "--out", store, *CNN, "--json")
    assert json.loads(result.stdout)["ok"] == 1


def test_features_follow_the_videos_of_the_face_cache_that_they_were_made_from(
    data: Path, store: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    again = ("extract", "--from-faces", cache, "--out", store, *CNN)
    extracted(data, "--out", cache, "--keep-faces")
    assert deepseq(*again).exit_code == 0
    (data / "real" / "1.mp4").rename(data / "fake" / "corrected.mp4")
    shutil.rmtree(data / "real")
    extracted(data, "--out", cache, "--prune")
    document = json.loads(deepseq(*again, "--prune", "--json").stdout)
    assert document["moved"] == {"real/1.mp4": "fake/corrected.mp4"}
    assert (document["pruned"], document["ok"]) == (["real/2.mp4"], 0)
    assert labels(store) == dict.fromkeys(("fake/1.mp4", "fake/2.mp4", "fake/corrected.mp4"), 1)


def test_merging_keeps_the_origins(data: Path, store: Path, tmp_path: Path) -> None:
    for name in ("real", "fake"):
        (data / name / "1.mp4").rename(data / name / f"{name}.mp4")
        (data / name / "2.mp4").unlink()
        extracted(data / name, "--out", tmp_path / name)
    assert deepseq("merge", tmp_path / "real", tmp_path / "fake", "--out", store).exit_code == 0
    assert Origins.read(store).roots == [str(data / "fake"), str(data / "real")]
    write(data / "real" / "real.mp4", 99)
    assert extracted(data / "real", "--out", store)["ok"] == 1
    write(data / "fake" / "real.mp4", 98)
    assert "1 videos have the names" in refusal(extract(data / "fake", "--out", store))


# Moved, renamed and corrected videos


@pytest.mark.parametrize("faces", [False, True])
def test_a_clip_moved_to_the_other_class_gets_the_new_label_without_decoding(
    data: Path, store: Path, faces: bool
) -> None:
    extracted(data, "--out", store, *(["--keep-faces"] if faces else []), *VIEWS)
    before = FeatureStore.open(store)["real/1.mp4"]
    (data / "real" / "1.mp4").rename(data / "fake" / "corrected.mp4")
    document = extracted(data, "--out", store, *VIEWS)
    assert (document["ok"], document["skipped"]) == (0, 4)
    assert document["moved"] == {"real/1.mp4": "fake/corrected.mp4"}
    after = FeatureStore.open(store)
    assert labels(after) == {
        name + suffix: int(name.startswith("fake"))
        for name in ("fake/1.mp4", "fake/2.mp4", "fake/corrected.mp4", "real/2.mp4")
        for suffix in ("", "@view1")
    }
    assert (after["fake/corrected.mp4"].features == before.features).all()
    assert after["fake/corrected.mp4@view1"].facts["view"]["of"] == "fake/corrected.mp4"
    if faces:
        cached = labels(FaceStore.open(faces_of(store)))
        assert cached == {name: label for name, label in labels(after).items() if "@" not in name}
    assert extracted(data, "--out", store, *VIEWS)["moved"] == {}


def test_a_move_that_was_interrupted_between_faces_and_features_is_completed(
    data: Path, store: Path
) -> None:
    extracted(data, "--out", store, "--keep-faces")
    description = FaceStore.open(faces_of(store)).description
    with FaceStoreWriter.create(faces_of(store), description) as writer:
        writer.rename({"real/1.mp4": "fake/corrected.mp4"})
    (data / "real" / "1.mp4").rename(data / "fake" / "corrected.mp4")
    document = extracted(data, "--out", store)
    assert document["moved"] == {"real/1.mp4": "fake/corrected.mp4"} and document["ok"] == 0
    assert labels(FaceStore.open(faces_of(store))) == labels(store)


def test_people_of_a_renamed_clip_keep_their_records(data: Path, store: Path) -> None:
    extracted(data, "--out", store, "--faces", "all")
    (data / "real" / "1.mp4").rename(data / "real" / "one.mp4")
    assert extracted(data, "--out", store, "--faces", "all")["ok"] == 0
    assert sorted(labels(store)) == [
        "fake/1.mp4#0", "fake/2.mp4#0", "real/2.mp4#0", "real/one.mp4#0"
    ]  # fmt: skip


def test_a_renamed_folder_keeps_its_records(data: Path, store: Path) -> None:
    extracted(data, "--out", store)
    (data / "fake").rename(data / "fakes")
    (data / "fakes").rename(data / "manipulated")
    document = extracted(data, "--out", store)
    assert document["ok"] == 0 and len(document["moved"]) == 2
    assert labels(store).keys() == {
        "manipulated/1.mp4", "manipulated/2.mp4", "real/1.mp4", "real/2.mp4"
    }  # fmt: skip


def test_a_copied_clip_with_the_opposite_label_stops_fit_which_names_both(
    data: Path, store: Path, tmp_path: Path
) -> None:
    shutil.copyfile(data / "real" / "1.mp4", data / "fake" / "copy.mp4")
    assert extracted(data, "--out", store)["moved"] == {}
    message = refusal(deepseq("fit", "--features", store, "--out", tmp_path / "run"))
    assert "real/1.mp4 (real) is the same file as fake/copy.mp4 (fake)" in message
    assert f"deepseq remove {store} ID" in message
    assert not (tmp_path / "run").exists()
    (data / "real" / "1.mp4").unlink()
    assert extracted(data, "--out", store, "--prune")["pruned"] == ["real/1.mp4"]
    assert "opposite" not in deepseq("fit", "--features", store, "--out", tmp_path / "r").stderr


# Removing


def test_remove_deletes_every_record_of_a_video_and_its_bytes(data: Path, store: Path) -> None:
    extracted(data, "--out", store, "--keep-faces", *VIEWS)
    features = FeatureStore.open(store)["real/1.mp4"].features.tobytes()
    images = FaceStore.open(faces_of(store))["real/1.mp4"].images.tobytes()
    dry = deepseq("remove", store, "real/1.mp4", "--dry-run")
    assert "would remove  real/1.mp4" in dry.stdout and "nothing was changed" in dry.stdout
    assert "real/1.mp4" in labels(store)
    result = deepseq("remove", store, "real/1.mp4")
    assert result.exit_code == 0, result.stderr
    assert "removed  real/1.mp4" in result.stdout
    assert "1 videos (2 records, 1 in the face cache), 3 remain" in result.stdout
    assert [name for name in labels(store) if name.startswith("real/1")] == []
    assert "real/1.mp4" not in FaceStore.open(faces_of(store))
    content = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert features not in content and images not in content and b"real/1.mp4" not in content
    assert deepseq("verify", store).exit_code == 0
    assert extracted(data, "--out", store, *VIEWS)["ok"] == 1  # its file is still there


def test_removing_an_unknown_video_is_an_error_that_names_it_and_removes_nothing(
    data: Path, store: Path
) -> None:
    extracted(data, "--out", store)
    message = refusal(deepseq("remove", store, "real/1.mp4", "data/real/2.mp4", "nonsense"))
    assert "has no video data/real/2.mp4, nonsense. Nothing was removed." in message
    assert "Did you mean real/2.mp4?" in message
    assert len(labels(store)) == 4
    assert deepseq("remove", store).exit_code == 2


def test_info_lists_the_ids_that_remove_takes(data: Path, store: Path) -> None:
    extracted(data, "--out", store, *VIEWS)
    lines = deepseq("info", store, "--videos").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["fake/1.mp4", "fake", "ok"],
        ["fake/2.mp4", "fake", "ok"],
        ["real/1.mp4", "real", "ok"],
        ["real/2.mp4", "real", "ok"],
    ]


def test_prune_removes_the_records_of_deleted_videos_and_says_which(
    data: Path, store: Path
) -> None:
    extracted(data, "--out", store, "--keep-faces")
    (data / "real" / "1.mp4").unlink()
    extracted(data, "--out", store)
    assert "real/1.mp4" in labels(store)  # kept without --prune
    dry = json.loads(extract(data, "--out", store, "--prune", "--dry-run", "--json").stdout)
    assert dry["pruned"] == ["real/1.mp4"] and dry["extract"] == []
    assert "real/1.mp4" in labels(store)
    result = extract(data, "--out", store, "--prune")
    assert "removed real/1.mp4: its file is gone" in result.stderr
    assert "3 already in the store, 1 removed" in result.stdout
    assert "real/1.mp4" not in labels(store)
    assert "real/1.mp4" not in FaceStore.open(faces_of(store))


def test_prune_does_not_wipe_a_store_because_a_disk_is_not_mounted(
    data: Path, store: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    write(mount / "x.mp4", 70)
    extracted(data, mount, "--out", store)
    (mount / "x.mp4").rename(tmp_path / "kept.mp4")
    message = refusal(extract(data, "--out", store, "--prune"))
    assert f"missing or empty, as if their disk were not mounted: {mount} (1 videos)" in message
    assert f"deepseq remove {store} --folder {mount}" in message
    mount.rmdir()
    assert "missing or empty" in refusal(extract(data, "--out", store, "--prune"))
    assert len(labels(store)) == 5
    result = deepseq("remove", store, "--folder", mount)  # on purpose
    assert result.exit_code == 0 and len(labels(store)) == 4


def test_after_a_moved_data_set_only_the_deleted_videos_can_be_removed_by_their_old_folder(
    data: Path, store: Path, tmp_path: Path
) -> None:
    extracted(data, "--out", store)
    moved = data.rename(tmp_path / "moved")
    (moved / "real" / "1.mp4").unlink()
    message = refusal(extract(moved, "--out", store, "--prune"))
    assert "first extract without --prune" in message
    extracted(moved, "--out", store)
    assert deepseq("remove", store, "--folder", data).exit_code == 0
    assert labels(store).keys() == {"real/2.mp4", "fake/1.mp4", "fake/2.mp4"}


def test_prune_does_not_remove_everything(data: Path, store: Path, tmp_path: Path) -> None:
    extracted(data, "--out", store)
    for path in sorted(data.rglob("*.mp4")):
        path.unlink()
        path.with_suffix(".txt").write_text("")
    write(tmp_path / "new" / "x.mp4", 70)
    message = refusal(extract(tmp_path / "new", "--out", store, "--prune"))
    assert f"would remove all 4 videos of {store}" in message
    assert len(labels(store)) == 4


def test_an_extraction_that_changes_nothing_writes_nothing(data: Path, store: Path) -> None:
    extracted(data, "--out", store)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    extracted(data, "--out", store)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path.name for path in store.iterdir()} == {*(path.name for path in before), ".locks"}
