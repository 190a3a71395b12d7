"""Clips that are dealt into parts, for models to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepfake_seq.config import SplitConfig
from deepfake_seq.sequence.data import SequenceData, load
from deepfake_seq.sequence.shortcuts import Shortcut, probe
from deepfake_seq.sequence.splitting import Parts, split_clips
from deepfake_seq.store import FeatureStore, Store, faces_of


@dataclass(frozen=True, eq=False)
class Problem:
    """Clips that are dealt into parts, for one model or several to be trained on.

    Attributes:
        data: All clips.
        parts: Which are for what.
        shortcut: How far metadata alone would come.
        name: What people call the data.
        store: Where the clips are from.
    """

    data: SequenceData
    parts: Parts
    shortcut: Shortcut
    name: str
    store: Store[Any]


def prepare(store: FeatureStore, config: SplitConfig) -> Problem:
    """Read a store, deal its clips into parts, and look for a shortcut.

    Raises:
        DatasetError: The store holds too little (no labelled clip, one class, too few groups), or
            its split leaks.
        StoreError: A record is damaged.
    """
    return pose(load(store), store, config)


def pose(
    data: SequenceData,
    store: Store[Any],
    config: SplitConfig,
    pseudo_fakes: Sequence[bool] | None = None,
) -> Problem:
    """Deal clips into parts, and look for a shortcut.

    Args:
        data: The clips.
        store: Where they are from.
        config: How they are dealt.
        pseudo_fakes: See `split_clips`.

    Raises:
        DatasetError: The clips cannot be dealt out, or the split leaks.
    """
    parts = split_clips(data, config, pseudo_fakes)
    names = sorted({clip.dataset for clip in data.clips} - {""})
    home = store.path.resolve()
    if home == faces_of(home.parent):
        home = home.parent
    name = ", ".join(names) or home.name
    return Problem(data, parts, probe(data, config.seed), name, store)
