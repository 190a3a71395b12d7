"""Face caches: records of different sizes in one shard."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from records import (
    DESCRIPTION,
    FACES,
    FACES_DESCRIPTION,
    FEATURES,
    FINGERPRINT,
    make_faces,
    make_record,
    payload,
    same_record,
)

from deepfake_seq.errors import StoreError
from deepfake_seq.store import (
    FaceStore,
    FaceStoreWriter,
    FeatureStore,
    StoreDescription,
    StoreWriter,
    faces_of,
    open_faces,
    open_store,
)
from deepfake_seq.store.records.face_record import FACE_ARRAYS, empty_face_arrays
from deepfake_seq.store.shards import payload as payload_module
from deepfake_seq.store.shards.encode import encode
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.shards.read import Shard
from deepfake_seq.store.upkeep.verify import verify

ID = FINGERPRINT.id
RECORDS = [
    make_faces("0.mp4", seed=0, max_bytes=20),
    make_faces("1.mp4", seed=1, valid=3, max_bytes=900),
    make_faces("2.mp4", valid=0, label=1),
    make_faces("3.mp4", seed=3, max_bytes=300),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A shard of four records of different sizes, one of them empty."""
    path = tmp_path / "shard.h5"
    path.write_bytes(encode(RECORDS, FACES_DESCRIPTION))
    return path


def readable(shard: Shard) -> list[int]:
    """Return the positions of the readable records, and check that they are unchanged."""
    positions = []
    for position, record in enumerate(RECORDS):
        try:
            read = shard.read(position)
        except StoreError as error:
            assert f"record {position}" in str(error)
            continue
        assert same_record(read, record)
        positions.append(position)
    return positions


def shards(path: Path) -> list[tuple[str, int]]:
    return [(shard.name, shard.stat().st_ino) for shard in sorted(path.glob("*.h5"))]


def test_images_of_different_sizes_are_returned_unchanged(tmp_path: Path) -> None:
    files = [[bytes([frame]) * size for frame in range(4)] for size in (1, 70_000, 13)]
    files[2][1:] = []
    records = []
    for number, clip in enumerate(files):
        lengths = np.array([len(file) for file in clip] + [0] * (4 - len(clip)))
        images = np.frombuffer(b"".join(clip), dtype=np.uint8)
        shape = make_faces(f"{number}.mp4", frames=4, valid=len(clip))
        records.append(replace(shape, image_bytes=lengths, images=images))
    store = FACES.write(tmp_path / "s", records, shard_records=3)
    assert len(shards(tmp_path / "s")) == 1
    for record, clip in zip(store, files, strict=True):
        assert [bytes(file) for file in record.encoded] == clip
        assert record.images.dtype == np.uint8 and record.size_bytes == sum(map(len, clip))


def test_a_shard_can_be_read_as_plain_hdf5(path: Path) -> None:
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == b"deepseq-faces"
        assert set(FACE_ARRAYS) < set(file)
        for (start, stop), record in zip(file["spans"][:], RECORDS, strict=True):
            assert file["images"][start:stop].tobytes() == payload(record)
        assert file["images"].shape == (sum(r.size_bytes for r in RECORDS) + 1,)
        assert (file["landmarks"][1] == RECORDS[1].landmarks).all()


def test_the_digest_covers_the_documented_bytes() -> None:
    record = RECORDS[1]
    data = record.metadata + b"\x0016 %d\0" % len(record.images)
    data += b"frame_size <i4 (16, 2)\0" + record.frame_size.tobytes()
    for name in ("mask", "frame_index", "pts_seconds", "boxes_xyxy", "scores", "landmarks"):
        data += getattr(record, name).tobytes()
    data += record.image_bytes.tobytes() + record.images.tobytes()
    assert hashlib.sha256(data).digest() == record.sha256


@pytest.mark.parametrize("name", list(FACE_ARRAYS))
def test_a_change_in_any_array_changes_the_digest(name: str) -> None:
    record, other = make_faces(valid=12), make_faces(valid=12)
    array = getattr(record, name).copy()
    array[3] = False if name == "mask" else array[3] ^ 1 if name == "images" else array[3] + 1
    object.__setattr__(other, name, array)  # past the checks
    assert other.sha256 != record.sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "no_face"},
        {"status": "fine"},
        {"mask": np.zeros(16, bool)},
        {"mask": np.ones((16, 1), bool)},
        {"landmarks": np.zeros((16, 5, 2))},
        {"landmarks": np.full((16, 5, 2), np.nan, np.float32)},
        {"boxes_xyxy": np.full((16, 4), np.inf, np.float32)},
        {"image_bytes": np.zeros(16, np.int64)},
        {"image_bytes": np.ones(16, np.int64)},
        {"image_bytes": np.full(16, 1 << 62)},
        {"images": np.zeros(1, np.uint8)},
        {"images": make_faces().images.view(np.int8)},
        {"images": make_faces().images[None]},
    ],
)
def test_an_inconsistent_record_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(make_faces(), **changes)


def test_padding_has_no_image() -> None:
    record = make_faces(valid=3)
    lengths, images = record.image_bytes.copy(), record.images
    lengths[4] = lengths[2]
    lengths[2] = 0
    with pytest.raises(ValueError, match="positive for the 3 valid frames"):
        replace(record, image_bytes=lengths, images=images)


@pytest.mark.parametrize("make", [make_faces, make_record])
def test_a_record_without_frames_keeps_its_other_fields(make: Any) -> None:
    record = make(label=1, groups=("ann",)).without_frames("no_face", "gone")
    assert (record.status, record.reason, record.frames_valid) == ("no_face", "gone", 0)
    assert (record.label, record.groups, record.shape) == (1, ("ann",), make().shape)
    assert record.same_content(replace(make(valid=0), **_assigned(record)))
    with pytest.raises(ValueError, match="Received: status ok with 0 valid frames"):
        make().without_frames("ok", "")


def _assigned(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("label", "groups", "reason", "facts")}


def test_empty_face_arrays_contain_no_images() -> None:
    arrays = empty_face_arrays(4)
    assert set(arrays) == set(FACE_ARRAYS) - {"image_bytes", "images"}
    assert (arrays.pop("frame_index") == -1).all()
    assert not any(array.any() for array in arrays.values())


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_flipped_bit_in_an_image_damages_only_its_record(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(payload(RECORDS[position])) + 5] ^= 4
    path.write_bytes(data)
    assert readable(Shard(path, ID)) == [n for n in range(4) if n != position]


@pytest.mark.parametrize("position", range(4))
def test_any_flipped_bit_in_a_span_damages_only_its_record(path: Path, position: int) -> None:
    whole = path.read_bytes()
    with h5py.File(path, "r") as file:
        offset = file["spans"].id.get_offset() + 16 * position
    others = [n for n in range(4) if n != position]
    for bit in range(128):
        data = bytearray(whole)
        data[offset + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        shard = Shard(path, ID)
        assert readable(shard) == others
        with pytest.raises(StoreError, match=f"record {position} is damaged: its span"):
            list(shard.read_range(position, 4))


@pytest.mark.parametrize(
    "span",
    [
        (-1, 239),
        (0, -1),
        (5, 4),
        (0, 1 << 62),
        (1 << 62, (1 << 62) + 8),
        (-(1 << 63), (1 << 63) - 1),
    ],
)
def test_a_span_outside_the_dataset_is_refused(path: Path, span: tuple[int, int]) -> None:
    with h5py.File(path, "r+") as file:
        file["spans"][1] = span
    assert readable(Shard(path, ID)) == [0, 2, 3]


def test_a_sparse_file_with_gigabytes_of_images_is_not_read(path: Path) -> None:
    size = 1 << 40
    with h5py.File(path, "r+") as file:
        del file["images"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((size + 1,))
        h5py.h5d.create(file.id, b"images", h5py.h5t.STD_U8LE, space, plist)
        file["spans"][1] = [0, size]
        file["image_bytes"][1] = [size] + [0] * 15
    with pytest.raises(StoreError, match="record 1 is damaged: its span"):
        Shard(path, ID).read(1)


def test_a_damaged_span_is_found_and_the_other_records_are_kept(tmp_path: Path) -> None:
    from deepfake_seq.store.upkeep.repair import repair

    folder = tmp_path / "s"
    FACES.write(folder, RECORDS, shard_records=4)
    (shard,) = folder.glob("*.h5")
    with h5py.File(shard, "r+") as file:
        file["spans"][3, 1] += 1
    (bad,) = verify(folder).bad_records
    assert (bad.video_id, bad.position) == ("3.mp4", 3)
    assert repair(folder).extract_again == ["3.mp4"]
    assert verify(folder).is_whole
    assert [record.video_id for record in FaceStore.open(folder)] == ["0.mp4", "1.mp4", "2.mp4"]


def record_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that collects the size in bytes of each later read of a shard."""
    sizes: list[int] = []
    real = payload_module.read_into

    def read_into(descriptor: int, path: Path, offset: int, array: Any) -> None:
        sizes.append(array.nbytes)
        real(descriptor, path, offset, array)

    monkeypatch.setattr(payload_module, "read_into", read_into)
    return sizes


def test_reading_a_record_reads_no_other_record(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Shard(path, ID)
    sizes = record_reads(monkeypatch)
    shard.read(1)
    assert sizes == [16, 16 * 8, RECORDS[1].size_bytes]


def test_only_one_block_of_bytes_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [make_faces(f"{n:02}.mp4", seed=n, max_bytes=100) for n in range(20)]
    records[7] = make_faces("07.mp4", max_bytes=1000)  # more than a block by itself
    store = FACES.write(tmp_path / "s", records, shard_records=20)
    monkeypatch.setattr(payload_module, "BLOCK_BYTES", 5000)
    sizes = record_reads(monkeypatch)
    most = 0
    for record, expected in zip(store.records(store.reading_order), records, strict=True):
        assert same_record(record, expected)
        payload_sizes = [size for size in sizes if size not in (16 * n for n in range(1, 400))]
        sizes.clear()
        most = max(most, sum(payload_sizes) if record.video_id != "07.mp4" else 0)
    assert 3000 < most <= 5000


def test_shards_are_sealed_by_bytes_and_full_shards_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s"
    records = [make_faces(f"{n:02}.mp4", seed=n, max_bytes=40 + n % 5 * 20) for n in range(40)]
    records[11] = make_faces("11.mp4", max_bytes=2000)  # larger than a shard
    limit = 5000
    for start in range(0, 40, 5):
        FACES.write(path, records[start : start + 5], shard_bytes=limit)
        with FaceStoreWriter.create(path, FACES_DESCRIPTION, shard_bytes=limit) as writer:
            writer.seal()
    sizes = [Shard(shard, ID).sizes for shard in path.glob("*.h5")]
    assert all(sum(shard) <= limit or len(shard) == 1 for shard in sizes)
    assert sum(sum(shard) <= limit / 2 for shard in sizes) <= 1, "several are less than half full"
    assert sum(map(len, sizes)) == 40
    before = shards(path)
    with FaceStoreWriter.create(path, FACES_DESCRIPTION, shard_bytes=limit) as writer:
        writer.seal()
    assert shards(path) == before
    assert [record.sha256 for record in FaceStore.open(path)] == [r.sha256 for r in records]


def test_commits_are_sealed_once_they_fill_a_shard_by_bytes(tmp_path: Path) -> None:
    records = [make_faces(f"{n}.mp4", seed=n, max_bytes=100) for n in range(8)]
    FACES.write(tmp_path / "s", records, shard_bytes=4 * 1000)
    assert len(shards(tmp_path / "s")) < 8


def test_a_shard_with_mostly_replaced_records_is_sealed_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    records = [make_faces(f"{n}.mp4", seed=n) for n in range(4)]
    records[0] = make_faces("0.mp4", max_bytes=400)  # most of the shard's bytes
    limit = sum(record.size_bytes for record in records)
    FACES.write(path, records, shard_records=4)
    with FaceStoreWriter.create(path, FACES_DESCRIPTION, shard_bytes=limit) as writer:
        (sealed,) = shards(path)
        for record in records[1:]:
            writer.commit(replace(record, label=1))
        writer.seal()
    assert sealed not in shards(path)
    assert [record.label for record in FaceStore.open(path)] == [0, 1, 1, 1]
    assert verify(path).is_whole and not verify(path).duplicates


def test_a_group_is_yielded_before_the_next_is_read() -> None:
    read: list[str] = []

    def records() -> Any:
        for n in range(20):
            read.append(f"{n}")
            yield make_faces(f"{n}.mp4", seed=n, max_bytes=100)

    groups = ShardLimits(256, 5000).groups(records())
    assert len(next(groups)) == len(read) - 1 < 8


def test_a_description_contains_its_kind_unless_it_is_features(
    tmp_path: Path,
) -> None:
    assert b"kind" not in DESCRIPTION.to_bytes()
    assert json.loads(FACES_DESCRIPTION.to_bytes())["kind"] == "faces"
    for description in (DESCRIPTION, FACES_DESCRIPTION):
        assert StoreDescription.from_bytes(description.to_bytes(), tmp_path) == description
    values = json.loads(FACES_DESCRIPTION.to_bytes())
    for kind in ("voices", None, ["faces"]):
        with pytest.raises(StoreError, match="reads stores of features and faces"):
            StoreDescription.from_bytes(json.dumps({**values, "kind": kind}).encode(), tmp_path)


def test_a_store_of_the_other_kind_is_refused_with_a_remedy(tmp_path: Path) -> None:
    FEATURES.write(tmp_path / "s", [make_record()])
    FACES.write(tmp_path / "f", [make_faces()])
    with pytest.raises(
        StoreError, match=r"f is a face cache, not .*extract --from-faces .*f --out"
    ):
        FeatureStore.open(tmp_path / "f")
    with pytest.raises(StoreError, match=r"f is a face cache"):
        StoreWriter.create(tmp_path / "f", DESCRIPTION)
    with pytest.raises(StoreError, match=r"s is a feature store, not .*PATH --keep-faces --out"):
        FaceStore.open(tmp_path / "s")
    with pytest.raises(StoreError, match=r"s is a feature store"):
        FaceStoreWriter.create(tmp_path / "s", FACES_DESCRIPTION)
    assert isinstance(open_store(tmp_path / "s"), FeatureStore)
    assert isinstance(open_store(tmp_path / "f"), FaceStore)


def test_a_face_cache_is_opened_by_its_path_or_that_of_its_feature_store(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(StoreError, match=r"no face cache in .*PATH --keep-faces --out DIR"):
        open_faces(path)
    FEATURES.write(path, [make_record()])
    with pytest.raises(StoreError, match=r"s has no face cache\. .*--keep-faces --out .*s`"):
        open_faces(path)
    FACES.write(faces_of(path), [make_faces()])
    assert faces_of(path) == path / "faces"
    for store_path in (path, faces_of(path)):
        with open_faces(store_path) as store:
            assert store.path == faces_of(path)
            assert same_record(store["real/a.mp4"], make_faces())
    assert len(FeatureStore.open(path)) == 1


def test_a_store_with_only_failures_has_no_images(tmp_path: Path) -> None:
    records = [make_faces(f"{n}.mp4", valid=0) for n in range(3)]
    store = FACES.write(tmp_path / "s", records, shard_records=3)
    assert [record.encoded for record in store] == [[], [], []]
    assert verify(tmp_path / "s").is_whole
