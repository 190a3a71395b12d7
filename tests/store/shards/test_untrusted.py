"""Shards are untrusted input: crafted files are refused without side effects."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from children import run_python
from hypothesis import given, settings
from hypothesis import strategies as st
from records import (
    DESCRIPTION,
    FEATURES,
    FINGERPRINT,
    StoreKind,
    make_record,
    make_store,
    write_store,
)

from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store import FeatureStore, Fingerprint, StoreDescription, StoreWriter
from deepfake_seq.store.records.record import ARRAYS
from deepfake_seq.store.shards.encode import encode
from deepfake_seq.store.shards.read import Shard

ID = FINGERPRINT.id
VALUES = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 0.5, "a", ""])
FIELDS = st.dictionaries(
    st.sampled_from("abc"), VALUES | st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2)
)


@settings(max_examples=400)
@given(FIELDS, FIELDS)
def test_fingerprints_differ_exactly_if_a_difference_is_listed(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = Fingerprint(one), Fingerprint(other)
    assert (first.id == second.id) == (not first.differences(second))


def test_settings_that_differ_only_in_type_are_refused(tmp_path: Path) -> None:
    with StoreWriter.create(tmp_path / "s", StoreDescription(Fingerprint({"a": True}), {})) as one:
        one.claim("x")
    with pytest.raises(FingerprintMismatchError):
        StoreWriter.create(tmp_path / "s", StoreDescription(Fingerprint({"a": 1}), {}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return shard_of(FEATURES, tmp_path)


def shard_of(kind: StoreKind, folder: Path) -> Path:
    path = folder / "shard.h5"
    path.write_bytes(encode([kind.make("a.mp4"), kind.make("b.mp4", seed=1)], kind.description))
    return path


def large(file: h5py.File) -> str:
    """Return the name of the largest dataset in the file."""
    return "features" if "features" in file else "images"


def replaced(file: h5py.File, name: str, **options: Any) -> None:
    """Replace a dataset by one with the same values and other storage options."""
    values = file[name][:]
    del file[name]
    file.create_dataset(name, data=values, **options)


def external_link(file: h5py.File, other: Path) -> None:
    name = large(file)
    del file[name]
    file[name] = h5py.ExternalLink(str(other), f"/{name}")


def soft_link(file: h5py.File, other: Path) -> None:
    name = large(file)
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere")


def external_storage(file: h5py.File, other: Path) -> None:
    name = large(file)
    values = file[name][:]
    raw = other.with_suffix(".raw")
    raw.write_bytes(values.tobytes())
    del file[name]
    file.create_dataset(name, values.shape, values.dtype, external=[(str(raw), 0, values.nbytes)])


def virtual_storage(file: h5py.File, other: Path) -> None:
    name = large(file)
    values = file[name]
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(str(other), name, values.shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def gzip_filter(file: h5py.File, other: Path) -> None:
    name = large(file)
    replaced(file, name, chunks=True, compression="gzip")


def unknown_filter(file: h5py.File, other: Path) -> None:
    name = large(file)
    shape = file[name].shape
    del file[name]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(shape)
    plist.set_filter(32123, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F16LE, space, plist)


def chunks(file: h5py.File, other: Path) -> None:
    name = large(file)
    replaced(file, name, chunks=file[name].shape)


def more_rows_than_stored(file: h5py.File, other: Path) -> None:
    for name in set(file) - {"index", "description"}:
        row, dtype = file[name].shape[1:], file[name].dtype
        del file[name]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple((10**12, *row))
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, plist)


def one_row_less_of_scores(file: h5py.File, other: Path) -> None:
    values = file["scores"][:1]
    del file["scores"]
    file["scores"] = values


def other_dtype(file: h5py.File, other: Path) -> None:
    values = file["scores"][:].astype(np.float64)
    del file["scores"]
    file["scores"] = values


def objects(file: h5py.File, other: Path) -> None:
    del file["scores"]
    file.create_dataset("scores", (2, 16), dtype=h5py.vlen_dtype(np.float32))


def references(file: h5py.File, other: Path) -> None:
    del file["scores"]
    file.create_dataset("scores", (2, 16), dtype=h5py.ref_dtype)


def text_for_the_index(file: h5py.File, other: Path) -> None:
    del file["index"]
    file["index"] = "[]"


def scalar(file: h5py.File, other: Path) -> None:
    name = large(file)
    del file[name]
    file[name] = np.float16(1)


def nothing_at_all(file: h5py.File, other: Path) -> None:
    name = large(file)
    del file[name]
    file[name] = h5py.Empty("<f2")


def group(which: str) -> Callable[[h5py.File, Path], None]:
    def edit(file: h5py.File, other: Path) -> None:
        name = which or large(file)
        del file[name]
        file.create_group(name)

    edit.__name__ = f"group_for_{which or 'the_large_array'}"
    return edit


def missing(name: str) -> Callable[[h5py.File, Path], None]:
    def edit(file: h5py.File, other: Path) -> None:
        del file[name]

    edit.__name__ = f"without_{name}"
    return edit


def optional(names: bytes) -> Callable[[h5py.File, Path], None]:
    def edit(file: h5py.File, other: Path) -> None:
        """List other optional datasets."""
        file.attrs["optional"] = np.bytes_(names)

    edit.__name__ = f"optional {names[:40]!r}"
    return edit


EDITS = [
    optional(b"frame_size evidence_depths"),
    optional(b"frame_size frame_size"),
    optional(b"features"),
    optional(b"evidence_../x"),
    optional(b"frame_size" + b" " * 2000),
    external_link,
    soft_link,
    external_storage,
    virtual_storage,
    gzip_filter,
    unknown_filter,
    chunks,
    more_rows_than_stored,
    one_row_less_of_scores,
    other_dtype,
    objects,
    references,
    text_for_the_index,
    scalar,
    nothing_at_all,
    group(""),
    group("metadata"),
    group("index"),
    missing("scores"),
    missing("sha256"),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_crafted_shard_is_refused_by_name(kind: StoreKind, tmp_path: Path, edit: Any) -> None:
    path = shard_of(kind, tmp_path)
    other = tmp_path / "other.h5"
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        edit(file, other)
    with pytest.raises(StoreError, match=r"shard\.h5"):
        Shard(path, ID)


@pytest.mark.parametrize(
    "edit", [external_link, external_storage, virtual_storage], ids=lambda edit: edit.__name__
)
def test_no_file_except_the_shard_is_opened(path: Path, tmp_path: Path, edit: Any) -> None:
    import shutil
    import subprocess
    import sys

    if not shutil.which("strace"):
        pytest.skip("needs strace")
    other = tmp_path / "outside.h5"
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        edit(file, other)
    code = (
        "from pathlib import Path\n"
        "from deepfake_seq.errors import StoreError\n"
        "from deepfake_seq.store.shards.read import Shard\n"
        f"try: Shard(Path({str(path)!r}), {ID!r}).read(0)\n"
        "except StoreError: print('refused')"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=open,openat", "-o", trace, sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "refused" in result.stdout
    opened = trace.read_text()
    assert "shard.h5" in opened
    assert "outside" not in opened


def crafted(path: Path, metadata: bytes) -> None:
    """Write a shard with valid digests and the given metadata in its first record."""
    from deepfake_seq.store.records.record import canonical_bytes, sha256_of

    record = make_record("a.mp4")
    arrays = [getattr(record, name) for name in ARRAYS]
    digest = sha256_of(canonical_bytes(metadata, arrays, record.optional_arrays))
    path.write_bytes(encode([record], DESCRIPTION))
    with h5py.File(path, "r+") as file:
        rows = np.frombuffer(metadata, dtype=np.uint8)[None]
        del file["metadata"]
        file["metadata"] = rows
        file["sha256"][0] = np.frombuffer(digest, dtype=np.uint8)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"video_id": 1}',
        b"[]",
        b"[" * 100_000,
        b'{"video_id": "x"}',
        make_record("a.mp4").metadata.replace(b'"label":0', b'"label":7'),
        make_record("a.mp4").metadata.replace(b'"label":0', b'"label":true'),
        make_record("a.mp4").metadata.replace(b'"groups":[]', b'"groups":[1]'),
        make_record("a.mp4").metadata.replace(b'"groups":[]', b'"groups":"ann"'),
        make_record("a.mp4").metadata.replace(b'"revision":1', b'"revision":0'),
        make_record("a.mp4").metadata.replace(b'"a.mp4"', b"null"),
    ],
)
def test_the_types_of_metadata_with_a_valid_digest_are_checked(path: Path, metadata: bytes) -> None:
    crafted(path, metadata)
    with pytest.raises(StoreError, match=r"shard\.h5"):
        Shard(path, ID).read(0)


def test_features_that_are_not_finite_are_refused_even_with_a_valid_digest(path: Path) -> None:
    record = make_record("a.mp4")
    for bad in (np.nan, np.inf, -np.inf):
        features = record.features.copy()
        features[2, 3] = bad
        object.__setattr__(record, "features", features)
        path.write_bytes(encode([record], DESCRIPTION))
        with pytest.raises(StoreError, match="finite"):
            Shard(path, ID).read(0)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shard.h5")
    with pytest.raises(StoreError, match="not a regular file"):
        Shard(tmp_path / "shard.h5", ID)


@pytest.mark.parametrize("needle", [b"deepseq-features", ID.encode()])
def test_a_flipped_bit_in_the_attribute_heap_does_not_hang_the_reader(
    path: Path, needle: bytes
) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(needle) - 8] ^= 0xFF  # the length of the attribute's text
    path.write_bytes(bytes(data))
    run_python(
        "import signal; signal.alarm(10)\n"
        "from pathlib import Path\n"
        "from deepfake_seq.errors import StoreError\n"
        "from deepfake_seq.store.shards.read import Shard\n"
        f"try: Shard(Path({str(path)!r}), {ID!r})\n"
        "except StoreError: pass"
    )


def test_a_shard_with_a_user_block_is_refused(path: Path, tmp_path: Path) -> None:
    behind = tmp_path / "behind.h5"
    behind.write_bytes(b"\0" * 512 + path.read_bytes())
    with pytest.raises(StoreError, match=r"behind\.h5"):
        Shard(behind, ID)


@pytest.mark.parametrize(
    "index",
    [b"", b"[]", b"{}", b'[["a.mp4"]]', b'[["a.mp4",1,"x"]]', b'[[1,1,"x"],["b.mp4",1,"x"]]'],
)
def test_a_malformed_index_is_refused(path: Path, index: bytes) -> None:
    import hashlib

    with h5py.File(path, "r+") as file:
        del file["index"]
        file["index"] = np.frombuffer(index or b"\0", dtype=np.uint8)
        digest = hashlib.sha256(index or b"\0").hexdigest()
        file.attrs["index_sha256"] = np.bytes_(digest)
    with pytest.raises(StoreError, match=r"shard\.h5"):
        Shard(path, ID).index()


def test_a_shard_with_two_records_of_a_video_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "s")
    records = [make_record("a.mp4"), make_record("a.mp4", seed=1)]
    (tmp_path / "s" / "sealed.h5").write_bytes(encode(records, DESCRIPTION))
    with pytest.raises(StoreError, match="contains several records of the same video"):
        FeatureStore.open(tmp_path / "s")


def test_records_of_another_shape_are_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [make_record("a.mp4")])
    other = encode([make_record("b.mp4", width=9)], DESCRIPTION)
    (tmp_path / "s" / "other.h5").write_bytes(other)
    with pytest.raises(StoreError, match=r"\(16, 9\)|\(16, 8\)"):
        FeatureStore.open(tmp_path / "s")


@pytest.mark.parametrize("text", [b"\xff\xfe{", b"", b"[]", b"{}", b'{"format": "deepseq-store"}'])
def test_the_error_on_a_broken_description_names_the_file(tmp_path: Path, text: bytes) -> None:
    make_store(tmp_path / "s", clips=2)
    (tmp_path / "s" / "store.json").write_bytes(text)
    with pytest.raises(StoreError, match=r"store\.json.*verify --repair"):
        FeatureStore.open(tmp_path / "s")


def test_a_malformed_description_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "s", clips=2)
    path = tmp_path / "s" / "store.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "extract_config": None}))
    with pytest.raises(StoreError):
        FeatureStore.open(tmp_path / "s")
