"""Load labelled clips and split them into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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
        store: The store that the clips were loaded from.
        seed: Seed of the probes.
        has_blocks: Whether the features of the clips are evidence blocks, which can be probed.
    """

    data: SequenceData
    store: Store[Any]
    seed: int
    has_blocks: bool = True

    @property
    def name(self) -> str:
        """Name of the data in reports: its datasets, or the folder of the store."""
        names = sorted({clip.dataset for clip in self.data.clips} - {""})
        home = self.store.path.resolve()
        if home == faces_of(home.parent):
            home = home.parent
        return ", ".join(names) or home.name

    @cached_property
    def shortcut(self) -> Shortcut:
        """Results of the probes of metadata and of evidence blocks."""
        blocks = probe_blocks(self.data, self.seed) if self.has_blocks else {}
        return replace(probe(self.data, self.seed), blocks=blocks)


@dataclass(frozen=True, eq=False, kw_only=True)
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
    """Load the labelled clips of a store.

    Args:
        store: The features.
        seed: Seed of the probes.
        evidence: Evidence blocks to load; by default those that every usable clip has.

    Raises:
        DatasetError: The store has no labelled clip with enough valid frames.
        StoreError: A record is damaged.
    """
    return LabelledClips(load(store, evidence=evidence), store, seed)


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
    split = split_data(clips.data, config, pseudo_fakes)
    return Experiment(clips.data, clips.store, clips.seed, clips.has_blocks, split=split)
