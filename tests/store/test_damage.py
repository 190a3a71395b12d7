"""Flipped bits and truncated files: a store never returns a wrong value."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from records import KINDS, StoreKind

from deepfake_seq.errors import StoreError
from deepfake_seq.store import open_store
from deepfake_seq.store.upkeep.verify import verify

RECORDS = {
    kind.name: [kind.make(f"{n}.mp4", seed=n, label=n % 2) for n in range(7)] for kind in KINDS
}


def read_all(path: Path) -> tuple[dict[str, str], list[dict[str, object]], bool]:
    """Return digest and metadata of every readable record, and whether all are readable."""
    digests, metadata = {}, []
    try:
        store = open_store(path)
    except StoreError:
        return {}, [], False
    is_complete = len(store) == 7
    for video_id in store.video_ids:
        try:
            digests[video_id] = store[video_id].sha256.hex()
        except StoreError:
            is_complete = False
        try:
            entry = store.entry(video_id)
            metadata.append(entry.metadata if entry else {})
        except StoreError:
            is_complete = False
    return digests, metadata, is_complete


@pytest.mark.parametrize(
    ("harm", "times"),
    [
        ("flip", 75),
        ("cut", 50),
        pytest.param("flip", 750, marks=pytest.mark.slow),
        pytest.param("cut", 250, marks=pytest.mark.slow),
    ],
)
def test_damage_is_detected_or_harmless(
    tmp_path: Path, kind: StoreKind, harm: str, times: int
) -> None:
    path = tmp_path / "s"
    records = RECORDS[kind.name]
    kind.write(path, records, shard_records=4)  # a sealed shard and three small ones
    expected_digests, expected_metadata, is_complete = read_all(path)
    assert is_complete
    assert expected_digests == {record.video_id: record.sha256.hex() for record in records}
    generator = random.Random(0)
    shards = sorted(path.glob("*.h5"))
    assert len(shards) == 4
    detected = 0
    for _ in range(times):
        shard = generator.choice(shards)
        data = shard.read_bytes()
        if harm == "flip":
            bit = generator.randrange(8 * len(data))
            broken = bytearray(data)
            broken[bit // 8] ^= 1 << bit % 8
            shard.write_bytes(broken)
        else:
            shard.write_bytes(data[: generator.randrange(len(data))])
        digests, metadata, is_complete = read_all(path)
        assert digests.items() <= expected_digests.items()
        assert all(values in expected_metadata for values in metadata)
        if not is_complete:
            detected += 1
            assert detected % 10 or not verify(path).is_whole
        shard.write_bytes(data)
    assert detected > times / 4


def test_a_record_in_the_wrong_row_is_not_returned(tmp_path: Path, kind: StoreKind) -> None:
    store = kind.write(tmp_path / "s", RECORDS[kind.name][:2])
    one, other = sorted((tmp_path / "s").glob("*.h5"))
    one.write_bytes(other.read_bytes())
    names = []
    for video_id in store.video_ids:
        try:
            names.append(store[video_id].video_id == video_id)
        except StoreError as error:
            assert video_id in str(error)
    assert names == [True]
