"""Load labelled clips and split them into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from deepfake_seq.config import SplitConfig
from deepfake_seq.sequence.data.dataset import SequenceData, load
from deepfake_seq.sequence.splits.block_probe import probe_blocks
from deepfake_seq.sequence.splits.shortcut_probe import Shortcut, probe
from deepfake_seq.sequence.splits.split import DataSplit, split_data
from deepfake_seq.store import FeatureStore, Store, faces_of


@dataclass(frozen=True, eq=False)
class LabelledClips:
    """The labelled clips of a store, and how predictable their labels are from metadata.

    Attributes:
        data: All usable clips.
        shortcut: Result of the probe on metadata alone.
        name: Name of the data in reports: its datasets, or the folder of the store.
        store: The store that the clips were loaded from.
    """

    data: SequenceData
    shortcut: Shortcut
    name: str
    store: Store[Any]


@dataclass(frozen=True, eq=False)
class Experiment(LabelledClips):
    """Labelled clips split into training, validation and test.

    Attributes:
        split: The split and its warnings.
    """

    split: DataSplit

    @property
    def train(self) -> SequenceData:
        """The training clips."""
        return self.data.take(self.split.positions.train)

    @property
    def validation(self) -> SequenceData:
        """The clips for early stopping, calibration and the threshold."""
        return self.data.take(self.split.positions.validation)

    @property
    def test(self) -> SequenceData:
        """The test clips; possibly none."""
        return self.data.take(self.split.positions.test)


def load_experiment(
    store: FeatureStore, config: SplitConfig, evidence: Sequence[str] = ()
) -> Experiment:
    """Load the labelled clips of a store and split them.

    Args:
        store: The features.
        config: How to split the clips.
        evidence: Evidence blocks to load; by default those that every usable clip has.

    Raises:
        DatasetError: The store has too few clips, classes or groups, or its split leaks.
        StoreError: A record is damaged.
    """
    clips = load_clips(store, config.seed, evidence)
    return split_clips(clips, config)


def load_clips(store: FeatureStore, seed: int, evidence: Sequence[str] = ()) -> LabelledClips:
    """Load the labelled clips of a store, and probe their metadata and evidence blocks.

    Args:
        store: The features.
        seed: Seed of the shortcut probe.
        evidence: Evidence blocks to load; by default those that every usable clip has.

    Raises:
        DatasetError: The store has no labelled clip with enough valid frames.
        StoreError: A record is damaged.
    """
    clips = describe_clips(load(store, evidence=evidence), store, seed)
    shortcut = replace(clips.shortcut, blocks=probe_blocks(clips.data, seed))
    return replace(clips, shortcut=shortcut)


def describe_clips(data: SequenceData, store: Store[Any], seed: int) -> LabelledClips:
    """Name the clips and probe their metadata.

    Args:
        data: The clips.
        store: The store that they were loaded from.
        seed: Seed of the shortcut probe.
    """
    names = sorted({clip.dataset for clip in data.clips} - {""})
    home = store.path.resolve()
    if home == faces_of(home.parent):
        home = home.parent
    return LabelledClips(data, probe(data, seed), ", ".join(names) or home.name, store)


def split_clips(
    clips: LabelledClips, config: SplitConfig, pseudo_fakes: Sequence[bool] | None = None
) -> Experiment:
    """Split clips into training, validation and test.

    Args:
        clips: The clips.
        config: How to split them.
        pseudo_fakes: See `split_data`.

    Raises:
        DatasetError: The clips cannot be split, or the split leaks.
    """
    return Experiment(**vars(clips), split=split_data(clips.data, config, pseudo_fakes))
