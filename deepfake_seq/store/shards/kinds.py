"""The two kinds of stores: their records, and how shards store them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.records.record import FeatureRecord, Record


@dataclass(frozen=True)
class Kind:
    """A kind of records, and of the stores that contain them.

    Attributes:
        name: Name in `store.json`.
        title: Name of such a store in messages.
        format: Value of the attribute `format` of its shards.
        record: Class of the records.
        shaped_by: Name of the array whose shape all records of a store share.
        is_flat: Whether the size of the last array differs between records. These arrays are then
            concatenated, and a dataset `spans` contains the bounds of each.
        shard_bytes: Maximum size of the last array in a sealed shard of more than one record, in
            bytes.
        max_shape: Maximum dimensions of a record; larger shards are refused.
        remedy: Message that says how to make such a store.
    """

    name: str
    title: str
    format: str
    record: type[Record]
    shaped_by: str
    is_flat: bool
    shard_bytes: float
    max_shape: tuple[int, ...]
    remedy: str

    @property
    def arrays(self) -> Mapping[str, str]:
        """Dtypes of a record's arrays by name, in the order in which they are hashed."""
        return self.record.DTYPES

    @cached_property
    def payload(self) -> str:
        """Name of the last array, by far the largest."""
        return list(self.arrays)[-1]

    @cached_property
    def small(self) -> tuple[str, ...]:
        """Names of all arrays except the last."""
        return tuple(self.arrays)[:-1]

    @cached_property
    def stored(self) -> dict[str, str]:
        """Dtypes on disk of the arrays and, if there is one, of `spans`."""
        dtypes = {name: "|u1" if name == "mask" else dtype for name, dtype in self.arrays.items()}
        return {**dtypes, "spans": "<i8"} if self.is_flat else dtypes


FEATURES = Kind(
    name="features",
    title="feature store",
    format="deepseq-features",
    record=FeatureRecord,
    shaped_by="features",
    is_flat=False,
    shard_bytes=math.inf,
    max_shape=(4096, 65_536),
    remedy="Make one with `deepseq extract PATH --out DIR`.",
)
FACES = Kind(
    name="faces",
    title="face cache",
    format="deepseq-faces",
    record=FaceRecord,
    shaped_by="mask",
    is_flat=True,
    shard_bytes=64 << 20,
    max_shape=(4096,),
    remedy="Make one in DIR/faces with `deepseq extract PATH --keep-faces --out DIR`.",
)
KINDS = {kind.name: kind for kind in (FEATURES, FACES)}
"""All kinds by name."""
