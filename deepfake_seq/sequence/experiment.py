"""Clips that are dealt into parts, for models to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepfake_seq.config import SplitConfig
from deepfake_seq.sequence.data.dataset import SequenceData, load
from deepfake_seq.sequence.splits.shortcut_probe import Shortcut, probe
from deepfake_seq.sequence.splits.split import DataSplit, split_data
from deepfake_seq.store import FeatureStore, Store, faces_of


@dataclass(frozen=True, eq=False)
class LabelledClips:
    """Clips to train on, and what a reader of any result on them must know.

    Attributes:
        data: All clips.
        shortcut: How far metadata alone would come.
        name: What people call the data.
        store: Where the clips are from.
    """

    data: SequenceData
    shortcut: Shortcut
    name: str
    store: Store[Any]


@dataclass(frozen=True, eq=False)
class Experiment(LabelledClips):
    """Clips that are dealt into parts, for one model or several to be trained on.

    Attributes:
        parts: Which are for what.
    """

    parts: DataSplit


def load_clips(store: FeatureStore, seed: int) -> LabelledClips:
    """Read the clips of a store, and look for a shortcut.

    Args:
        store: The features.
        seed: Seed of the shortcut probe.

    Raises:
        DatasetError: The store has no labelled clip that shows enough of the face.
        StoreError: A record is damaged.
    """
    return _described(load(store), store, seed)


def load_experiment(store: FeatureStore, config: SplitConfig) -> Experiment:
    """Read a store, deal its clips into parts, and look for a shortcut.

    Raises:
        DatasetError: The store holds too little (no labelled clip, one class, too few groups), or
            its split leaks.
        StoreError: A record is damaged.
    """
    return build_experiment(load(store), store, config)


def build_experiment(
    data: SequenceData,
    store: Store[Any],
    config: SplitConfig,
    pseudo_fakes: Sequence[bool] | None = None,
) -> Experiment:
    """Deal clips into parts, and look for a shortcut.

    Args:
        data: The clips.
        store: Where they are from.
        config: How they are dealt.
        pseudo_fakes: See `split_data`.

    Raises:
        DatasetError: The clips cannot be dealt out, or the split leaks.
    """
    parts = split_data(data, config, pseudo_fakes)
    return Experiment(**vars(_described(data, store, config.seed)), parts=parts)


def _described(data: SequenceData, store: Store[Any], seed: int) -> LabelledClips:
    names = sorted({clip.dataset for clip in data.clips} - {""})
    home = store.path.resolve()
    if home == faces_of(home.parent):
        home = home.parent
    return LabelledClips(data, probe(data, seed), ", ".join(names) or home.name, store)
