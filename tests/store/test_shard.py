from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from records import make_record, same_record

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shard import ShardReader, encode

ID = "0123456789ab"
RECORDS = [
    make_record("real/a.mp4", seed=1, groups=("ann", "bob")),
    make_record("real/ü \udcff.mp4", seed=2, valid=3),
    make_record("fake/none.mp4", valid=0, label=1),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shard.h5"
    path.write_bytes(encode(RECORDS, ID))
    return path


def test_what_was_written_is_read_back(path: Path) -> None:
    with ShardReader(path, ID) as shard:
        assert len(shard) == 3
        for position, record in enumerate(RECORDS):
            assert same_record(shard.read(position), record)
        assert shard.metadata() == [record.metadata for record in RECORDS]


def test_a_flipped_bit_is_found_or_harmless(path: Path) -> None:
    data = path.read_bytes()
    beginning, rest = range(1500), range(1500, len(data), 97)
    for position in (*beginning, *rest):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        path.write_bytes(bytes(broken))
        try:
            with ShardReader(path, ID) as shard:
                for number in range(len(shard)):
                    try:
                        assert same_record(shard.read(number), RECORDS[number])
                    except StoreError:
                        continue
        except StoreError:
            continue


def test_a_changed_feature_is_never_returned(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["features"][1, 0, 0] += 1
    with ShardReader(path, ID) as shard:
        assert same_record(shard.read(0), RECORDS[0])
        with pytest.raises(StoreError, match="record 1 is damaged"):
            shard.read(1)


@pytest.mark.parametrize("content", [b"", b"text", encode(RECORDS, ID)[:-2000]])
def test_a_file_that_is_no_whole_shard_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"shard\.h5"):
        ShardReader(path, ID)


def test_another_hdf5_file_is_refused(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="not a deepseq shard"):
        ShardReader(path, ID)


def test_a_shard_of_another_store_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="belongs to another store"):
        ShardReader(path, "f" * 12)
