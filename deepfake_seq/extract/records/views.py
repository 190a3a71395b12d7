"""Views: further records of a clip, made from its crops, which serve for training only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepfake_seq.augment import (
    RANGES_VERSION,
    Crops,
    Images,
    apply_view,
    degrade,
    draw_view,
    self_blend,
)
from deepfake_seq.config import DEGRADATIONS, VIEW_KINDS, ViewsConfig
from deepfake_seq.datasets import FAKE
from deepfake_seq.errors import UsageError
from deepfake_seq.store.record_ids import person_of, view_id

SELF_BLENDED = "self-blended"
"""The method of fakes that are made from real clips, beside those of the data sets."""

__all__ = [
    "SELF_BLENDED",
    "Crops",
    "View",
    "is_pseudo_fake",
    "known_of",
    "require_faces",
    "view_key",
    "views_of",
    "wanted_views",
]


@dataclass(frozen=True, eq=False)
class View:
    """A view of a clip.

    Attributes:
        kind: One of `config.VIEW_KINDS`.
        number: From 1.
        images_rgb: uint8 (S, S, 3) each, of the same sides as the clip's crops.
        settings: All that its pixels depend on beside the clip, as plain JSON values.
    """

    kind: str
    number: int
    images_rgb: Images
    settings: dict[str, Any]


def require_faces(detector: str, config: ViewsConfig) -> None:
    """Refuse to blend where no face was looked for.

    Args:
        detector: What found the crops.
        config: Which views are wanted.

    Raises:
        UsageError: Faces are to be blended, and the crops are whole frames.
    """
    if config.self_blend and detector == "none":
        raise UsageError("--self-blend needs to know where the face is. Received: --detector none")


def view_key(sha256: str, video_id: str) -> tuple[int, ...]:
    """What a clip's draws begin with: the same wherever the clip lies, and on any machine.

    Args:
        sha256: Of the video's content.
        video_id: Its record's name, of which only the person (`#0` …) counts.

    Returns:
        Eight 32-bit words.
    """
    digest = hashlib.sha256(f"{sha256}{person_of(video_id)}".encode()).digest()
    return tuple(int(word) for word in np.frombuffer(digest, dtype="<u4"))


def views_of(key: tuple[int, ...], crops: Crops, label: int, config: ViewsConfig) -> Iterator[View]:
    """The views of a clip, each made as it is asked for: at full size they would fill the memory.

    What a view looks like does not depend on how many others there are.

    Args:
        key: See `view_key`.
        crops: The clip.
        label: Its label; an unknown one has no views, and only a real one is blended.
        config: Which views, and how many.
    """
    for kind, number, settings in _wanted(label, config):
        generator = _generator(key, kind, number, config)
        yield View(kind, number, _images(generator, kind, crops, config), settings)


def wanted_views(
    record_name: str, label: int, config: ViewsConfig
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names and the settings of the views that a record is to have.

    Args:
        record_name: The record's own.
        label: Its label.
        config: Which views, and how many.
    """
    for kind, number, settings in _wanted(label, config):
        yield view_id(record_name, kind, number), settings


def known_of(view: View, known: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a view's record that are no arrays.

    Args:
        view: The view.
        known: Those of the clip's record.
    """
    of = known["video_id"]
    told = {"kind": view.kind, "number": view.number, "of": of, "settings": view.settings}
    facts = {**known["facts"], "view": told}
    own = {**known, "video_id": view_id(of, view.kind, view.number), "facts": facts}
    if view.kind == "blend":
        own["label"] = FAKE
        facts["method"] = SELF_BLENDED
    return own


def is_pseudo_fake(facts: Mapping[str, Any]) -> bool:
    """Whether a record is a fake that was made from a real clip.

    Args:
        facts: The record's.
    """
    view = facts.get("view")
    return isinstance(view, Mapping) and view.get("kind") == "blend"


def _wanted(label: int, config: ViewsConfig) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for kind, count in config.counts(label).items():
        for number in range(1, count + 1):
            yield kind, number, _settings(config)


def _settings(config: ViewsConfig) -> dict[str, Any]:
    ways = [way for way in DEGRADATIONS if way in config.degrade]
    return {"version": RANGES_VERSION, "seed": config.seed, "degrade": ways}


def _generator(
    key: tuple[int, ...], kind: str, number: int, config: ViewsConfig
) -> np.random.Generator:
    words = [*key, VIEW_KINDS.index(kind), number, config.seed]
    return np.random.default_rng(np.random.SeedSequence(words))


def _images(generator: np.random.Generator, kind: str, crops: Crops, config: ViewsConfig) -> Images:
    if kind == "view":
        images = apply_view(crops.images_rgb, draw_view(generator))
    else:
        images = self_blend(crops, generator)
    return degrade(images, config.degrade, generator)
