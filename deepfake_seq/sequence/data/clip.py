"""A clip: everything about a record except its features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.views import (
    NOTHING_REPLACED,
    MaskShares,
    View,
    mask_shares_of,
)
from deepfake_seq.store import Record
from deepfake_seq.store.record_ids import person_of, video_of
from deepfake_seq.store.records.record import MASK_SHARES_FACT

_MAX_LISTED = 3


def clip_key(video_id: str, sha256: str) -> str:
    """Return the key identifying a clip: its SHA-256, or its id if the hash is unknown.

    The person (`#0`, `#1` …) of a video with one record per person is part of the key. A view has
    the key of its clip.
    """
    return f"{sha256}{person_of(video_id)}" if sha256 else video_id


@dataclass(frozen=True, eq=False)
class Clip:
    """A labelled clip without its features.

    Attributes:
        video_id: Id of the record in the store.
        label: 1 = fake, 0 = real.
        groups: Identities and source videos in the clip.
        split: Split that the dataset assigns, or "".
        sha256: SHA-256 of the video file in hex, or "".
        size_bytes: Size of the video file in bytes.
        face_pixels: Mean side of the face box, in pixels of the frame.
        facts: Further metadata from the store: `method`, `dataset`, `width`, `height`, `fps`,
            `duration_seconds`, `codec` …
        views: Views of the clip, used only in training.
        mask_views: Further views that only the second output of a network is trained on; see
            `TrainConfig.auxiliary`.
        mask_shares: Share of each face region that was replaced; None if it is unknown.
    """

    video_id: str
    label: int
    groups: tuple[str, ...] = ()
    split: str = ""
    sha256: str = ""
    size_bytes: int = 0
    face_pixels: float = 0.0
    facts: dict[str, object] = field(default_factory=dict)
    views: tuple[View, ...] = ()
    mask_views: tuple[View, ...] = ()
    mask_shares: MaskShares | None = None

    @classmethod
    def of(cls, record: Record) -> Clip:
        """Create the clip of a record, which must have a valid frame.

        Raises:
            DatasetError: Its shares of replaced face regions are invalid.
        """
        try:
            shares = NOTHING_REPLACED if record.label == REAL else mask_shares_of(record.facts)
        except ValueError as error:
            raise DatasetError(
                f"{record.video_id}: the fact {MASK_SHARES_FACT!r} is not the shares of "
                f"six face regions ({error}). Extract the clip again. "
                f"Received: {record.facts[MASK_SHARES_FACT]!r}"
            ) from error
        return cls(
            record.video_id,
            record.label,
            record.groups,
            record.split,
            record.source.sha256,
            record.source.size_bytes,
            record.face_pixels,
            record.facts,
            mask_shares=shares,
        )

    @property
    def key(self) -> str:
        """Key identifying the clip; see `clip_key`."""
        return clip_key(self.video_id, self.sha256)

    @property
    def method(self) -> str:
        """Name of the forgery method, or ""."""
        return str(self.facts.get("method", ""))

    @property
    def dataset(self) -> str:
        """Name of the dataset, or ""."""
        return str(self.facts.get("dataset", ""))


def require_consistent_labels(clips: Iterable[Clip], store: Path) -> None:
    """Refuse clips of the same file that have opposite labels.

    Args:
        clips: The clips of a store.
        store: Path of the store, for the message.

    Raises:
        DatasetError: A file is real under one name and fake under another.
    """
    by_content: dict[str, dict[int, str]] = {}
    for clip in clips:
        if clip.sha256:
            by_content.setdefault(clip.sha256, {}).setdefault(clip.label, video_of(clip.video_id))
    clashes = [names for names in by_content.values() if len(names) > 1]
    if not clashes:
        return
    examples = "; ".join(
        f"{names[REAL]} (real) is the same file as {names[FAKE]} (fake)"
        for names in clashes[:_MAX_LISTED]
    )
    more = f"; and {len(clashes) - _MAX_LISTED} more" if len(clashes) > _MAX_LISTED else ""
    raise DatasetError(
        f"{len(clashes)} videos have opposite labels in {store}: {examples}{more}. Delete the file "
        f"with the wrong label, and its record with `deepseq remove {store} ID`."
    )
