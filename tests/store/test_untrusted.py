from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import FINGERPRINT, make_record, make_store, same_record

from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store import FeatureStore, Fingerprint
from deepfake_seq.store.shard import ShardReader, encode

ID = "0123456789ab"
VALUES = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 0.5, "a", ""])
FIELDS = st.dictionaries(
    st.sampled_from("abc"), VALUES | st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2)
)


@settings(max_examples=400)
@given(FIELDS, FIELDS)
def test_fingerprints_differ_exactly_when_a_difference_is_named(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = Fingerprint(one), Fingerprint(other)
    assert (first.id == second.id) == (not first.differences(second))


def test_settings_that_differ_by_type_alone_are_refused(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s", Fingerprint({"a": True}), {})
    with pytest.raises(FingerprintMismatchError):
        FeatureStore.create(tmp_path / "s", Fingerprint({"a": 1}), {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shard.h5"
    path.write_bytes(encode([make_record("a.mp4"), make_record("b.mp4", seed=1)], ID))
    return path


def external_link(file: h5py.File, other: Path) -> None:
    del file["features"]
    file["features"] = h5py.ExternalLink(str(other), "/features")


def soft_link(file: h5py.File, other: Path) -> None:
    file.move("features", "elsewhere")
    file["features"] = h5py.SoftLink("/elsewhere")


def external_storage(file: h5py.File, other: Path) -> None:
    values = file["features"][:]
    raw = other.with_suffix(".raw")
    raw.write_bytes(values.tobytes())
    del file["features"]
    file.create_dataset(
        "features", values.shape, values.dtype, external=[(str(raw), 0, values.nbytes)]
    )


def virtual_storage(file: h5py.File, other: Path) -> None:
    features = file["features"]
    layout = h5py.VirtualLayout(features.shape, features.dtype)
    layout[:] = h5py.VirtualSource(str(other), "features", features.shape)
    del file["features"]
    file.create_virtual_dataset("features", layout)


def gzip_filter(file: h5py.File, other: Path) -> None:
    values = file["features"][:]
    del file["features"]
    file.create_dataset("features", data=values, chunks=True, compression="gzip")


def more_rows_than_stored(file: h5py.File, other: Path) -> None:
    for name in set(file) - {"metadata"}:
        row, dtype = file[name].shape[1:], file[name].dtype
        del file[name]
        file.create_dataset(name, (10**15, *row), dtype, chunks=(1, *row))


def group_for_a_dataset(file: h5py.File, other: Path) -> None:
    del file["features"]
    file.create_group("features")


def group_for_the_ends(file: h5py.File, other: Path) -> None:
    del file["metadata_end"]
    file.create_group("metadata_end")


def group_for_the_metadata(file: h5py.File, other: Path) -> None:
    del file["metadata"]
    file.create_group("metadata")


@pytest.mark.parametrize(
    "edit",
    [
        external_link,
        soft_link,
        external_storage,
        virtual_storage,
        gzip_filter,
        more_rows_than_stored,
        group_for_a_dataset,
        group_for_the_ends,
        group_for_the_metadata,
    ],
)
def test_a_crafted_shard_is_refused(path: Path, tmp_path: Path, edit: Any) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        edit(file, other)
    with pytest.raises(StoreError, match=r"shard\.h5"), ShardReader(path, ID) as shard:
        shard.read(0)


@pytest.mark.parametrize(
    "metadata",
    [b'{"video_id": 1}', b'{"video_id": []}', b"[]", b"[" * 100_000, b'{"video_id": "x"}'],
    ids=["number", "list", "no object", "deep", "bare"],
)
def test_a_store_with_crafted_metadata_is_refused(tmp_path: Path, metadata: bytes) -> None:
    store = make_store(tmp_path / "s", clips=2)
    shard = store.entries()["000.mp4"].shard
    with h5py.File(shard, "r+") as file:
        del file["metadata"]
        file["metadata"] = np.frombuffer(metadata, dtype=np.uint8)
        file["metadata_end"][0] = len(metadata)
    with pytest.raises(StoreError):
        list(FeatureStore.open(tmp_path / "s"))


@pytest.mark.parametrize("needle", [b"deepseq-features", ID.encode()])
def test_a_flip_in_the_attributes_heap_is_not_read_for_ever(path: Path, needle: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(needle) - 8] ^= 0xFF  # the length of the attribute's text
    path.write_bytes(bytes(data))
    code = f"""
from pathlib import Path
from deepfake_seq.errors import StoreError
from deepfake_seq.store.shard import ShardReader
try:
    ShardReader(Path({str(path)!r}), {ID!r}).close()
except StoreError:
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=10)


def test_a_record_of_a_larger_shard_can_be_replaced(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT, {})
    records = [make_record("a.mp4"), make_record("b.mp4", seed=1)]
    (tmp_path / "s" / "sealed.h5").write_bytes(encode(records, FINGERPRINT.id))
    store = FeatureStore.open(tmp_path / "s")
    newer = make_record("a.mp4", seed=9)
    store.commit(newer)
    assert same_record(FeatureStore.open(tmp_path / "s")["a.mp4"], newer)


def test_one_video_twice_in_one_shard_is_refused(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s", FINGERPRINT, {})
    records = [make_record("a.mp4"), make_record("a.mp4", seed=1)]
    (tmp_path / "s" / "sealed.h5").write_bytes(encode(records, FINGERPRINT.id))
    with pytest.raises(StoreError):
        FeatureStore.open(tmp_path / "s")


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_shard_that_breaks_while_open_is_named_by_its_video(tmp_path: Path, harm: str) -> None:
    store = make_store(tmp_path / "s", clips=2)
    shard = store.entries()["000.mp4"].shard
    shard.unlink() if harm == "gone" else shard.write_bytes(shard.read_bytes()[:500])
    with pytest.raises(StoreError, match=r"000\.mp4"):
        store["000.mp4"]


def test_a_record_kept_under_another_name_is_not_given_back(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=2)
    one, other = (store.entries()[name].shard for name in ("000.mp4", "001.mp4"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(StoreError):
        store["000.mp4"]


def test_a_description_of_the_wrong_shapes_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=2)
    path = tmp_path / "s" / "store.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "extract_config": None}))
    with pytest.raises(StoreError):
        FeatureStore.open(tmp_path / "s")


def test_a_shard_that_is_named_store_json_in_bad_text_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=2)
    (tmp_path / "s" / "store.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(StoreError):
        FeatureStore.open(tmp_path / "s")
