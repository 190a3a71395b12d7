from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import make_record

from deepfake_seq.store import FeatureRecord, SourceFile
from deepfake_seq.store.records.record import ARRAYS, empty_arrays


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "fine"},
        {"status": "no_face"},
        {"features": np.zeros((16, 8), np.float32)},
        {"features": np.full((16, 8), np.inf, np.float16)},
        {"mask": np.zeros(16, bool)},
        {"mask": np.array([True] * 14 + [False, True])},
        {"scores": np.zeros(15, np.float32)},
        {"features": np.full((16, 8), -np.nan, np.float16)},
        {"label": 2},
        {"label": True},
        {"revision": 0},
        {"transient": True},
        {"groups": ["ann"]},
        {"groups": (1,)},
        {"facts": None},
        {"video_id": None},
    ],
)
def test_an_inconsistent_record_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(make_record(), **changes)


@pytest.mark.parametrize("name", list(ARRAYS))
def test_a_change_in_any_array_changes_the_digest(name: str) -> None:
    record = make_record(valid=12)
    array = getattr(record, name).copy()
    array[3] = False if name == "mask" else array[3] + 1
    other = make_record(valid=12)
    object.__setattr__(other, name, array)  # past the checks: a mask with a hole is refused
    assert other.sha256 != record.sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"video_id": "real/b.mp4"},
        {"status": "partial"},
        {"reason": "because"},
        {"label": 1},
        {"groups": ("ann",)},
        {"split": "test"},
        {"source": SourceFile(1, 123, "ab" * 32)},
        {"facts": {}},
        {"revision": 2},
    ],
)
def test_a_change_in_any_other_field_changes_the_digest(changes: dict[str, Any]) -> None:
    record = make_record()
    assert replace(record, **changes).sha256 != record.sha256


def test_the_digest_covers_every_evidence_block() -> None:
    record = make_record(evidence={"depths": 3, "regions": 2})
    changed = {name: block.copy() for name, block in record.evidence.items()}
    changed["regions"][0, 0] += 1
    assert replace(record, evidence=changed).sha256 != record.sha256


def test_a_failure_has_empty_evidence_and_no_frame_sizes() -> None:
    record = make_record(evidence={"depths": 3}).without_frames("rejected", "too large")
    assert not record.evidence["depths"].any()
    assert record.frame_size is not None
    assert not record.frame_size.any()


def test_evidence_must_be_described_in_the_facts() -> None:
    record = make_record(evidence={"depths": 3})
    with pytest.raises(ValueError, match="must describe the evidence blocks depths"):
        replace(record, facts={})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((15, 3), np.float16), "with 16 rows"),
        (np.zeros((16, 3), np.float32), "must be float16"),
        (np.full((16, 3), np.nan, np.float16), "depths must be finite"),
    ],
    ids=["rows", "dtype", "NaN"],
)
def test_an_invalid_evidence_block_is_refused(block: Any, message: str) -> None:
    record = make_record(evidence={"depths": 3})
    with pytest.raises(ValueError, match=message):
        replace(record, evidence={"depths": block})


def test_an_evidence_block_needs_a_plain_name() -> None:
    with pytest.raises(ValueError, match="no array of a record"):
        make_record(evidence={"../x": 3})


def test_frame_sizes_come_from_the_facts_in_records_of_earlier_versions() -> None:
    record = make_record(frame_size=None, facts={"width": 640, "height": 360})
    assert record.sizes.tolist() == [[640, 360]] * 16


@given(st.text(), st.text())
def test_any_text_in_names_survives_encoding(video_id: str, group: str) -> None:
    record = make_record(video_id, groups=(group,), frames=2, valid=2)
    arrays = {name: getattr(record, name) for name in ARRAYS} | record.optional_arrays
    assert FeatureRecord.from_metadata(record.metadata, arrays).sha256 == record.sha256


def test_a_name_that_is_not_utf8_survives() -> None:
    record = make_record("bad\udcff name\n.mp4")
    arrays = {name: getattr(record, name) for name in ARRAYS}
    assert FeatureRecord.from_metadata(record.metadata, arrays).video_id == record.video_id


def test_padding_is_zeros_with_frame_index_minus_one() -> None:
    arrays = empty_arrays(4, 3)
    assert (arrays.pop("frame_index") == -1).all()
    assert not any(array.any() for array in arrays.values())


def test_the_digest_covers_the_documented_bytes() -> None:
    import hashlib

    record = make_record(valid=12, evidence={"depths": 3})
    data = record.metadata + b"\x0016 8\0"
    data += b"frame_size <i4 (16, 2)\0" + record.frame_size.tobytes()
    data += b"evidence_depths <f2 (16, 3)\0" + record.evidence["depths"].tobytes()
    data += record.mask.tobytes() + record.frame_index.tobytes()
    data += record.pts_seconds.tobytes() + record.boxes_xyxy.tobytes() + record.scores.tobytes()
    assert hashlib.sha256(data + record.features.tobytes()).digest() == record.sha256


def test_revisions_and_file_times_do_not_change_the_content() -> None:
    record = make_record()
    touched = replace(record, revision=3, source=replace(record.source, mtime_ns=1))
    assert record.same_content(touched)
    assert not record.same_content(replace(record, label=1))
    assert not record.same_content(make_record(seed=1))


@pytest.mark.parametrize("status", ["timeout", "decode_error", "rejected", "no_face"])
def test_any_failure_may_be_transient(status: str) -> None:
    assert replace(make_record(valid=0), status=status, transient=True).failed
