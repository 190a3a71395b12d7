"""Where a video has a record for each person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from records import DESCRIPTION, FACES_DESCRIPTION, make_faces, make_record

from deepfake_seq.config import BackboneConfig, ExtractConfig, FaceConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.extract.records.pending import ExtractedVideo
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import Outcome, Resumption
from deepfake_seq.extract.video.decode import identify
from deepfake_seq.extract.writers import Cache
from deepfake_seq.store import FaceStoreWriter, FeatureRecord, FeatureStore, StoreWriter, faces_of

EVERYONE = resolve(
    ExtractConfig(
        faces=FaceConfig("none", people="all"), backbone=BackboneConfig(weights="untrained")
    )
)


@pytest.fixture
def item(tmp_path: Path) -> VideoItem:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"content")
    return VideoItem(path, "a.mp4", label=0)


def records(item: VideoItem, people: int) -> list[FeatureRecord]:
    source = identify(item.path)
    return [make_record(f"a.mp4#{n}", seed=n, source=source) for n in range(people)]


def run(path: Path, item: VideoItem, people: int) -> tuple[int, list[bool]]:
    """How many videos were extracted, and for each that stood whether it was relabelled."""
    standing: list[bool] = []

    def on_standing(outcome: Outcome) -> None:
        assert outcome.skipped and outcome.video_id == item.video_id
        standing.append(outcome.relabelled)

    with StoreWriter.create(path, DESCRIPTION) as writer:
        resumption = Resumption(Cache(writer), EVERYONE, False, on_standing)
        pending = resumption.pending([item])
        for claimed in resumption.claimed(pending, lambda elsewhere: None):
            resumption.commit(ExtractedVideo(claimed.item, records(item, people), []))
    return len(pending), standing


def test_a_video_whose_people_are_there_is_not_extracted_again(
    tmp_path: Path, item: VideoItem
) -> None:
    assert run(tmp_path / "s", item, 3) == (1, [])
    assert run(tmp_path / "s", item, 3) == (0, [False])
    assert FeatureStore.open(tmp_path / "s").video_ids == ["a.mp4#0", "a.mp4#1", "a.mp4#2"]


def test_a_new_label_is_everybodys(tmp_path: Path, item: VideoItem) -> None:
    run(tmp_path / "s", item, 3)
    assert run(tmp_path / "s", replace(item, label=FAKE), 3) == (0, [True])
    assert [record.label for record in FeatureStore.open(tmp_path / "s")] == [FAKE] * 3


def test_somebody_whom_the_changed_video_does_not_show_is_gone(
    tmp_path: Path, item: VideoItem
) -> None:
    run(tmp_path / "s", item, 3)
    item.path.write_bytes(b"other content")
    assert run(tmp_path / "s", item, 1) == (1, [])
    store = FeatureStore.open(tmp_path / "s")
    assert [record.status for record in store] == ["ok", "no_face", "no_face"]
    assert "shows 1 people" in store["a.mp4#2"].reason
    assert run(tmp_path / "s", item, 1) == (0, [False])


def test_an_interrupted_commit_is_done_again(tmp_path: Path, item: VideoItem) -> None:
    with StoreWriter.create(tmp_path / "s", DESCRIPTION) as writer:
        writer.claim(item.video_id)
        writer.commit(records(item, 3)[2])  # the process ends before the first person's
    assert run(tmp_path / "s", item, 3) == (1, [])
    assert len(FeatureStore.open(tmp_path / "s")) == 3


def test_a_new_method_and_data_set_are_everybodys_and_other_facts_stay(
    tmp_path: Path, item: VideoItem
) -> None:
    run(tmp_path / "s", item, 2)
    before = [record.facts for record in FeatureStore.open(tmp_path / "s")]
    named = replace(item, method="Deepfakes", dataset="faceforensics++")
    assert run(tmp_path / "s", named, 2) == (0, [True])
    told = {"method": "Deepfakes", "dataset": "faceforensics++"}
    assert [r.facts for r in FeatureStore.open(tmp_path / "s")] == [own | told for own in before]
    assert run(tmp_path / "s", named, 2) == (0, [False])
    assert run(tmp_path / "s", item, 2) == (0, [True])  # nobody says any more
    assert [record.facts for record in FeatureStore.open(tmp_path / "s")] == before


def test_a_video_that_another_run_commits_meanwhile_is_not_extracted_again(
    tmp_path: Path, item: VideoItem
) -> None:
    one_person = resolve(
        ExtractConfig(faces=FaceConfig("none"), backbone=BackboneConfig(weights="untrained"))
    )
    source = identify(item.path)
    standing: list[Outcome] = []

    def cache() -> Cache:
        return Cache(
            StoreWriter.create(tmp_path / "s", DESCRIPTION),
            FaceStoreWriter.create(faces_of(tmp_path / "s"), FACES_DESCRIPTION),
        )

    with cache() as own:
        with cache() as other:
            assert other.faces is not None
            other.faces.commit(make_faces(item.video_id, source=source))
            other.features.commit(make_record(item.video_id, source=source))
        own.features.refresh()  # as it happens when a shard is sealed while it is read
        resumption = Resumption(own, one_person, False, standing.append)
        pending = resumption.pending([item])
        assert [todo.item for todo in pending] == [item]
        assert list(resumption.claimed(pending, lambda elsewhere: None)) == []
    assert [(outcome.video_id, outcome.skipped) for outcome in standing] == [("a.mp4", True)]
