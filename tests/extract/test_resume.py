"""Resuming when each person of a video has a record."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from children import environment
from records import DESCRIPTION, FACES_DESCRIPTION, make_faces, make_record

from deepfake_seq.config import BackboneConfig, ExtractConfig, FaceConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.records.pending import ExtractedVideo
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.video.decode import identify
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FaceStoreWriter, FeatureRecord, FeatureStore, StoreWriter, faces_of
from deepfake_seq.store.origins import Origin

EVERYONE = resolve(
    ExtractConfig(
        faces=FaceConfig("none", people="all"), backbone=BackboneConfig(weights="untrained")
    )
)


CLAIM = """
import sys; from pathlib import Path; from records import FEATURES
with FEATURES.writer.create(Path(sys.argv[1]), FEATURES.description) as writer:
    assert writer.claim(sys.argv[2])
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def item(tmp_path: Path) -> VideoItem:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"content")
    return VideoItem(path, "a.mp4", label=0)


def records(item: VideoItem, people: int) -> list[FeatureRecord]:
    source = identify(item.path)
    return [make_record(f"a.mp4#{n}", seed=n, source=source) for n in range(people)]


def run(path: Path, item: VideoItem, people: int) -> tuple[int, list[bool]]:
    """Return the number of extracted videos, and whether each skipped one was relabelled."""
    with StoreWriter.create(path, DESCRIPTION) as features:
        writer = ResumableWriter(StoreWriters(features), EVERYONE)
        result = writer.check(item)
        if isinstance(result, Outcome):
            assert result.skipped and result.video_id == item.video_id
            return 0, [result.relabelled]
        assert writer.claim(result) is None
        writer.commit(ExtractedVideo(item, records(item, people), []))
    return 1, []


def test_a_complete_video_is_not_extracted_again(tmp_path: Path, item: VideoItem) -> None:
    assert run(tmp_path / "s", item, 3) == (1, [])
    assert run(tmp_path / "s", item, 3) == (0, [False])
    assert FeatureStore.open(tmp_path / "s").video_ids == ["a.mp4#0", "a.mp4#1", "a.mp4#2"]


def test_a_new_label_is_written_to_every_person(tmp_path: Path, item: VideoItem) -> None:
    run(tmp_path / "s", item, 3)
    assert run(tmp_path / "s", replace(item, label=FAKE), 3) == (0, [True])
    assert [record.label for record in FeatureStore.open(tmp_path / "s")] == [FAKE] * 3


def test_people_missing_from_the_changed_video_are_emptied(tmp_path: Path, item: VideoItem) -> None:
    run(tmp_path / "s", item, 3)
    item.path.write_bytes(b"other content")
    assert run(tmp_path / "s", item, 1) == (1, [])
    store = FeatureStore.open(tmp_path / "s")
    assert [record.status for record in store] == ["ok", "no_face", "no_face"]
    assert "fewer people: 1" in store["a.mp4#2"].reason
    assert run(tmp_path / "s", item, 1) == (0, [False])


def test_an_interrupted_commit_is_repeated(tmp_path: Path, item: VideoItem) -> None:
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as writer:
        writer.claim(item.video_id)
        writer.commit(records(item, 3)[2])  # the process ends before the first person's
    assert run(tmp_path / "s", item, 3) == (1, [])
    assert len(FeatureStore.open(tmp_path / "s")) == 3


def test_a_new_method_and_dataset_are_written_to_every_person_and_other_facts_stay(
    tmp_path: Path, item: VideoItem
) -> None:
    run(tmp_path / "s", item, 2)
    before = [record.facts for record in FeatureStore.open(tmp_path / "s")]
    named = replace(item, method="Deepfakes", dataset="faceforensics++")
    assert run(tmp_path / "s", named, 2) == (0, [True])
    added = {"method": "Deepfakes", "dataset": "faceforensics++"}
    after = [record.facts for record in FeatureStore.open(tmp_path / "s")]
    assert after == [facts | added for facts in before]
    assert run(tmp_path / "s", named, 2) == (0, [False])
    assert run(tmp_path / "s", item, 2) == (0, [True])  # the data set no longer gives them
    assert [record.facts for record in FeatureStore.open(tmp_path / "s")] == before


def test_a_video_that_another_run_has_committed_is_not_extracted_again(
    tmp_path: Path, item: VideoItem
) -> None:
    one_person = resolve(
        ExtractConfig(faces=FaceConfig("none"), backbone=BackboneConfig(weights="untrained"))
    )
    source = identify(item.path)

    def open_writers() -> StoreWriters:
        return StoreWriters(
            StoreWriter.create(tmp_path / "s", DESCRIPTION),
            FaceStoreWriter.create(faces_of(tmp_path / "s"), FACES_DESCRIPTION),
        )

    with open_writers() as writers:
        with open_writers() as other:
            assert other.faces is not None
            other.faces.commit(make_faces(item.video_id, source=source))
            other.features.commit(make_record(item.video_id, source=source))
        writers.features.refresh()  # as when a shard is sealed while it is read
        writer = ResumableWriter(writers, one_person)
        pending = writer.check(item)
        assert isinstance(pending, PendingVideo)
        assert writer.claim(pending) == Outcome("a.mp4", "ok", skipped=True, sha256=source.sha256)


def test_another_video_that_another_run_has_committed_meanwhile_is_not_replaced(
    tmp_path: Path, item: VideoItem
) -> None:
    source = replace(identify(item.path), size_bytes=99, sha256="0" * 64)
    other_content = make_record("a.mp4#0", source=source)
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as features:
        writer = ResumableWriter(StoreWriters(features), EVERYONE)
        pending = writer.check(item)
        assert isinstance(pending, PendingVideo)
        with StoreWriter.create(tmp_path / "s", DESCRIPTION) as other:
            other.commit(other_content)
        with pytest.raises(StoreError, match="another run has committed another video"):
            writer.claim(pending)
        origin = Origin.of(writer.sources.root_of(item), source.sha256)
        features.update_origins({"a.mp4": origin})  # it was the same path: the file has changed
        assert writer.claim(pending) is None


def test_a_video_that_another_run_is_extracting_is_moved_when_it_is_free(tmp_path: Path) -> None:
    names = {f"{number}.mp4": f"new/{number}.mp4" for number in range(3)}
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as features:
        for name in names:
            features.commit(make_record(name))
        other = subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path / "s", "new/1.mp4"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert other.stdout and other.stdin
        assert other.stdout.readline() == b"claimed\n"
        release = threading.Timer(0.1, other.stdin.close)
        release.start()
        StoreWriters(features).move(names)
        release.join()
        assert other.wait() == 0
        other.stdout.close()
    assert FeatureStore.open(tmp_path / "s").video_ids == list(names.values())


def test_a_video_that_another_run_has_moved_is_not_moved_again(tmp_path: Path) -> None:
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as features:
        features.commit(make_record("new.mp4"))
        features.commit(make_record("old.mp4", seed=1))
        before = {record.video_id: record.sha256 for record in features}
        StoreWriters(features).move({"old.mp4": "new.mp4", "gone.mp4": "x.mp4"})
        assert {record.video_id: record.sha256 for record in features} == before
