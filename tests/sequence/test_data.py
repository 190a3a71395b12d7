from __future__ import annotations

from pathlib import Path

import pytest
from records import make_record, write_store

from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data import load


def test_only_labelled_clips_with_enough_frames_are_loaded_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    records = [
        make_record("good.mp4", label=1, groups=("ann",)),
        make_record("unlabelled.mp4", label=-1),
        make_record("short.mp4", valid=7),
        make_record("faceless.mp4", valid=0),
    ]
    data = load(write_store(tmp_path / "s", records))
    assert data.video_ids == ("good.mp4",)
    assert data.groups == (("ann",),)
    assert data.counts == {"real": 0, "fake": 1}
    assert data.excluded.total() == 3
    assert data.excluded["failed (no_face)"] == 1


def test_a_store_without_usable_clips_is_refused_with_the_reasons(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", [make_record("unlabelled.mp4", label=-1)])
    with pytest.raises(DatasetError, match="1 without a label"):
        load(store)


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s")
    with pytest.raises(DatasetError, match="it is empty"):
        load(store)
