"""The two kinds of stores: what they hold, and how that lies in their shards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.records.record import FeatureRecord, Record


@dataclass(frozen=True)
class Kind:
    """A kind of records, and of the stores that hold them.

    Attributes:
        name: In `store.json`.
        title: What people call such a store.
        format: What its shards say of themselves.
        record: The records.
        shaped_by: The array whose shape is the one that all records of a store share.
        is_flat: Whether the last array has another size in each record. It lies in one piece then,
            with a dataset `spans` that tells where each record's part begins and ends.
        shard_bytes: The most bytes of the last array that a sealed shard holds, if it is not a
            single record's.
        most_shape: Beyond this, a shard claims what no extraction makes.
        remedy: How such a store is made.
    """

    name: str
    title: str
    format: str
    record: type[Record]
    shaped_by: str
    is_flat: bool
    shard_bytes: float
    most_shape: tuple[int, ...]
    remedy: str

    @property
    def arrays(self) -> Mapping[str, str]:
        """The dtypes of a record's arrays, in the order in which they are hashed."""
        return self.record.DTYPES

    @cached_property
    def payload(self) -> str:
        """The last array, beside which the others are small."""
        return list(self.arrays)[-1]

    @cached_property
    def small(self) -> tuple[str, ...]:
        """All arrays but the last."""
        return tuple(self.arrays)[:-1]

    @cached_property
    def stored(self) -> dict[str, str]:
        """The dtypes on disk of the arrays, and of what tells where they are."""
        own = {name: "|u1" if name == "mask" else dtype for name, dtype in self.arrays.items()}
        return {**own, "spans": "<i8"} if self.is_flat else own


FEATURES = Kind(
    name="features",
    title="feature store",
    format="deepseq-features",
    record=FeatureRecord,
    shaped_by="features",
    is_flat=False,
    shard_bytes=math.inf,
    most_shape=(4096, 65_536),
    remedy="`deepseq extract PATH --out DIR` makes one.",
)
FACES = Kind(
    name="faces",
    title="face cache",
    format="deepseq-faces",
    record=FaceRecord,
    shaped_by="mask",
    is_flat=True,
    shard_bytes=64 << 20,
    most_shape=(4096,),
    remedy="`deepseq extract PATH --keep-faces --out DIR` makes one, in DIR/faces.",
)
KINDS = {kind.name: kind for kind in (FEATURES, FACES)}
"""Every kind, by name."""
