"""Views: augmented copies of a clip, stored as separate records and used for training only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment import (
    RANGES_VERSION,
    Crops,
    Images,
    apply_blend,
    apply_view,
    blended_shares,
    degrade,
    draw_blend,
    draw_view,
    landmarks_in_view,
)
from deepfake_seq.config import DEGRADATIONS, VIEW_KINDS, ViewsConfig
from deepfake_seq.datasets import FAKE
from deepfake_seq.errors import UsageError
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record_ids import VIEW_FACT, person_of, view_id
from deepfake_seq.store.records.record import MASK_SHARES_FACT

SELF_BLENDED = "self-blended"
"""Value of the fact `method` in records of fakes blended from real clips."""

__all__ = [
    "SELF_BLENDED",
    "Crops",
    "RenderedView",
    "is_pseudo_fake",
    "require_faces",
    "view_key",
    "view_record",
    "views_of",
    "wanted_views",
]


@dataclass(frozen=True, eq=False)
class RenderedView:
    """A view of a clip.

    Attributes:
        kind: One of `config.VIEW_KINDS`.
        number: Number among the views of this kind, from 1.
        images_rgb: uint8 (S, S, 3) each, as large as the clip's crops.
        landmarks: float32 (5, 2) in pixels of each image; None if unknown.
        settings: Everything besides the clip that its pixels depend on, as plain JSON values.
        facts: Further facts of its record.
    """

    kind: str
    number: int
    images_rgb: Images
    landmarks: Sequence[npt.NDArray[np.float32] | None]
    settings: dict[str, Any]
    facts: dict[str, Any]


def require_faces(detector: str, config: ViewsConfig) -> None:
    """Check that self-blended fakes are only requested with a face detector.

    Args:
        detector: Name of the face detector.
        config: The requested views.

    Raises:
        UsageError: Self-blended fakes are requested, but the crops are whole frames.
    """
    if config.self_blend and detector == "none":
        raise UsageError("--self-blend needs a face detector. Received: --detector none")


def view_key(sha256: str, video_id: str) -> tuple[int, ...]:
    """Return the seed of a clip's random draws; it depends on neither the path nor the machine.

    Args:
        sha256: SHA-256 of the video file, in hex.
        video_id: Id of the clip's record; only the person (`#0` …) is used.

    Returns:
        Eight 32-bit words.
    """
    digest = hashlib.sha256(f"{sha256}{person_of(video_id)}".encode()).digest()
    return tuple(int(word) for word in np.frombuffer(digest, dtype="<u4"))


def views_of(
    key: tuple[int, ...], crops: Crops, label: int, config: ViewsConfig
) -> Iterator[RenderedView]:
    """Make the views of a clip one at a time, because all of them would fill the memory.

    The pixels of a view do not depend on the number of views.

    Args:
        key: The seed; see `view_key`.
        crops: The crops of the clip.
        label: Label of the clip. Unlabelled clips have no views; only real clips are blended.
        config: The requested views.
    """
    for kind, number, settings in _wanted(label, config):
        generator = _generator(key, kind, number, config)
        images, landmarks, facts = _render(generator, kind, crops, config)
        yield RenderedView(kind, number, images, landmarks, settings, facts)


def wanted_views(
    video_id: str, label: int, config: ViewsConfig
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and the settings of each view that a clip should have.

    Args:
        video_id: Id of the clip's record.
        label: Label of the clip.
        config: The requested views.
    """
    for kind, number, settings in _wanted(label, config):
        yield view_id(video_id, kind, number), settings


def view_record(view: RenderedView, record: FeatureRecord) -> FeatureRecord:
    """Return the record of a view, with the arrays of its clip.

    Args:
        view: The view.
        record: The record of the clip.
    """
    origin = {
        "kind": view.kind,
        "number": view.number,
        "of": record.video_id,
        "settings": view.settings,
    }
    video_id = view_id(record.video_id, view.kind, view.number)
    label = FAKE if view.kind == "blend" else record.label
    facts = {**record.facts, VIEW_FACT: origin, **view.facts}
    return replace(record, video_id=video_id, label=label, facts=facts)


def is_pseudo_fake(facts: Mapping[str, Any]) -> bool:
    """Return whether a record is a fake blended from a real clip.

    Args:
        facts: The facts of the record.
    """
    view = facts.get(VIEW_FACT)
    return isinstance(view, Mapping) and view.get("kind") == "blend"


def _wanted(label: int, config: ViewsConfig) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for kind, count in config.counts(label).items():
        for number in range(1, count + 1):
            yield kind, number, _settings(config)


def _settings(config: ViewsConfig) -> dict[str, Any]:
    degradations = [name for name in DEGRADATIONS if name in config.degrade]
    return {"version": RANGES_VERSION, "seed": config.seed, "degrade": degradations}


def _generator(
    key: tuple[int, ...], kind: str, number: int, config: ViewsConfig
) -> np.random.Generator:
    words = [*key, VIEW_KINDS.index(kind), number, config.seed]
    return np.random.default_rng(np.random.SeedSequence(words))


def _render(
    generator: np.random.Generator, kind: str, crops: Crops, config: ViewsConfig
) -> tuple[Images, Sequence[npt.NDArray[np.float32] | None], dict[str, Any]]:
    """Return the images of a view, the landmarks in each, and further facts."""
    landmarks: Sequence[npt.NDArray[np.float32] | None] = crops.landmarks
    facts: dict[str, Any] = {}
    if kind == "view":
        draw = draw_view(generator)
        images = apply_view(crops.images_rgb, draw)
        landmarks = landmarks_in_view(landmarks, [len(image) for image in crops.images_rgb], draw)
    else:
        blend = draw_blend(generator)
        images = apply_blend(crops, blend)
        facts = {"method": SELF_BLENDED, MASK_SHARES_FACT: blended_shares(crops, blend)}
    return degrade(images, config.degrade, generator), landmarks, facts
