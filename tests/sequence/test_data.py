from __future__ import annotations

from pathlib import Path

import pytest
from records import FINGERPRINT, make_record

from deepfake_seq.config import ExtractConfig
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data import load
from deepfake_seq.store import FeatureStore


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.create(tmp_path / "store", FINGERPRINT, ExtractConfig().to_dict())


def test_only_labelled_clips_with_enough_frames_are_loaded_and_the_rest_is_counted(
    store: FeatureStore,
) -> None:
    store.commit(make_record("good.mp4", label=1, groups=("ann",)))
    store.commit(make_record("unlabelled.mp4", label=-1))
    store.commit(make_record("short.mp4", valid=7))
    store.commit(make_record("faceless.mp4", valid=0))
    data = load(store)
    assert data.video_ids == ("good.mp4",)
    assert data.groups == (("ann",),)
    assert data.counts == {"real": 0, "fake": 1}
    assert data.excluded.total() == 3
    assert data.excluded["failed (no_face)"] == 1


def test_a_store_without_usable_clips_is_refused_with_the_reasons(store: FeatureStore) -> None:
    store.commit(make_record("unlabelled.mp4", label=-1))
    with pytest.raises(DatasetError, match="1 without a label"):
        load(store)


def test_an_empty_store_is_refused(store: FeatureStore) -> None:
    with pytest.raises(DatasetError, match="it is empty"):
        load(store)
