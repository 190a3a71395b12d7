from __future__ import annotations

import gc
from pathlib import Path

import h5py
import numpy as np
import pytest
from records import DESCRIPTION, FINGERPRINT, StoreKind, make_record, same_record

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shards.encode import encode
from deepfake_seq.store.shards.kinds import FACES, FEATURES
from deepfake_seq.store.shards.payload import BLOCK
from deepfake_seq.store.shards.read import Shard

ID = FINGERPRINT.id
RECORDS = [
    make_record("real/a.mp4", seed=1, groups=("ann", "bob")),
    make_record("real/ü \udcff.mp4", seed=2, valid=3, revision=4),
    make_record("fake/none.mp4", valid=0, label=1, transient=True),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shard.h5"
    path.write_bytes(encode(RECORDS, DESCRIPTION))
    return path


def test_records_are_read_back_as_written(path: Path) -> None:
    shard = Shard(path, ID)
    assert len(shard) == 3
    assert shard.shape == (16, 8)
    assert shard.description() == DESCRIPTION
    for position, record in enumerate(RECORDS):
        read = shard.read(position)
        assert same_record(read, record)
        assert (read.revision, read.transient) == (record.revision, record.transient)
        assert shard.metadata(position)["video_id"] == record.video_id
    assert [(row.video_id, row.revision, row.sha256) for row in shard.index()] == [
        (record.video_id, record.revision, record.sha256.hex()) for record in RECORDS
    ]


def test_a_range_returns_the_same_records_as_single_reads(tmp_path: Path, kind: StoreKind) -> None:
    records = [kind.make(f"{number}.mp4", seed=number) for number in range(2 * BLOCK + 5)]
    (tmp_path / "x.h5").write_bytes(encode(records, kind.description))
    shard = Shard(tmp_path / "x.h5", ID)
    for start, stop in ((0, len(records)), (3, 4), (BLOCK - 1, BLOCK + 2)):
        read = list(shard.read_range(start, stop))
        assert [one.sha256 for one in read] == [one.sha256 for one in records[start:stop]]


def test_a_shard_can_be_read_as_plain_hdf5(path: Path) -> None:
    with h5py.File(path, "r") as file:
        assert (file["features"][1] == RECORDS[1].features).all()
        assert (file["mask"][1] == RECORDS[1].mask).all()
        assert file["metadata"][0].tobytes().rstrip(b"\0") == RECORDS[0].metadata


def test_no_file_is_kept_open(path: Path) -> None:
    shard = Shard(path, ID)
    gc.collect()  # files in reference cycles of other tests
    open_files = len(list(Path("/dev/fd").iterdir()))
    shard.read(0)
    assert len(list(Path("/dev/fd").iterdir())) == open_files
    path.unlink()
    with pytest.raises(FileNotFoundError):
        shard.read(0)


def test_a_changed_feature_is_never_returned(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["features"][1, 0, 0] += 1
    shard = Shard(path, ID)
    assert same_record(shard.read(0), RECORDS[0])
    with pytest.raises(StoreError, match="record 1 is damaged"):
        shard.read(1)


def test_a_changed_label_is_never_returned(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"label":1', b'"label":0'))
    shard = Shard(path, ID)
    with pytest.raises(StoreError, match="metadata is damaged"):
        shard.metadata(2)
    assert same_record(shard.read(0), RECORDS[0])


@pytest.mark.parametrize("content", [b"", b"text", encode(RECORDS, DESCRIPTION)[:-2000]])
def test_a_file_that_is_not_an_intact_shard_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"shard\.h5"):
        Shard(path, ID)


def test_a_shard_of_the_other_kind_is_refused(path: Path) -> None:
    assert Shard(path, ID).kind == FEATURES
    with pytest.raises(StoreError, match="contains features, not faces"):
        Shard(path, ID, FACES)


def test_a_file_truncated_after_opening_is_detected(path: Path) -> None:
    shard = Shard(path, ID)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match="truncated"):
        shard.read(0)


def test_another_hdf5_file_is_refused(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="not a deepseq shard"):
        Shard(path, ID)


def test_another_version_of_the_format_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 1
    with pytest.raises(StoreError, match=r"is in format 1; .* reads formats 2 to 3"):
        Shard(path, ID)


def test_a_shard_of_another_store_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="belongs to another store"):
        Shard(path, "f" * 12)
    assert len(Shard(path, None)) == 3


def test_records_keep_their_frame_sizes_and_evidence(tmp_path: Path) -> None:
    record = make_record("a.mp4", evidence={"regions": 4, "depths": 3})
    path = tmp_path / "shard.h5"
    path.write_bytes(encode([record], DESCRIPTION))
    (read,) = Shard(path, ID).read_range(0, 1)
    assert read.sha256 == record.sha256
    assert read.frame_size.tolist() == record.frame_size.tolist()
    assert {name: block.tolist() for name, block in read.evidence.items()} == {
        name: block.tolist() for name, block in record.evidence.items()
    }


def test_a_flipped_bit_of_evidence_is_detected(tmp_path: Path) -> None:
    record = make_record("a.mp4", evidence={"depths": 3})
    path = tmp_path / "shard.h5"
    path.write_bytes(encode([record], DESCRIPTION))
    with h5py.File(path, "r+") as file:
        file["evidence_depths"][0, 0, 0] += np.float16(1)
    with pytest.raises(StoreError, match="SHA-256 does not match"):
        list(Shard(path, ID).read_range(0, 1))


def test_an_evidence_block_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    path.write_bytes(encode([make_record("a.mp4", evidence={"depths": 3})], DESCRIPTION))
    with h5py.File(path, "r+") as file:
        del file["evidence_depths"]
        file["evidence_depths"] = np.zeros((1, 15, 3), dtype=np.float16)
    with pytest.raises(StoreError, match="evidence_depths must have shape"):
        Shard(path, ID)
