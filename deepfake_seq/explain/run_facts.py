"""Facts about the run behind a verdict, for a report: its files, data and error rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from deepfake_seq.sequence.evaluation.threshold import ClassCounts, Decision
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.description import Count, RunDescription
from deepfake_seq.untrusted import decode
from deepfake_seq.weights import digest_of

_MAX_METRICS_BYTES = 1 << 26
_Z = 1.959964
"""Quantile of the normal distribution for a 95 % interval."""


class MeasuredIntervals(Struct, frozen=True):
    """The 95 % intervals of a split that a report shows; None if the clips support none."""

    auc: tuple[float, float] | None


class MeasuredSplit(Struct, frozen=True):
    """The results on one split that a report shows; see `metrics.at_threshold`."""

    clips: ClassCounts
    groups: Count
    confusion: dict[str, Count]
    auc: float | None
    intervals: MeasuredIntervals


class MeasuredRun(Struct, frozen=True):
    """The splits in `metrics.json` of a run; further keys are ignored."""

    validation: MeasuredSplit | None
    test: MeasuredSplit | None
    unseen: MeasuredSplit | None = None


@dataclass(frozen=True)
class ErrorRate:
    """How many clips of one class were called the other.

    Attributes:
        wrong: Number of these clips.
        clips: Number of clips of the class.
        rate: Fraction of these clips; None without clips.
        interval: 95 % interval of the rate (Wilson); None without clips. It counts every clip as
            independent: if clips share a person or source, it is too narrow.
    """

    wrong: int
    clips: int
    rate: float | None
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, wrong: int, clips: int) -> ErrorRate:
        """Compute a rate and its interval."""
        if not clips:
            return cls(wrong, 0, None, None)
        rate = wrong / clips
        centre = (rate + _Z**2 / (2 * clips)) / (1 + _Z**2 / clips)
        half = math.sqrt(rate * (1 - rate) / clips + _Z**2 / (4 * clips**2)) * _Z
        half /= 1 + _Z**2 / clips
        return cls(wrong, clips, rate, (max(centre - half, 0.0), min(centre + half, 1.0)))


@dataclass(frozen=True)
class SplitErrors:
    """The errors of a run on one split.

    Attributes:
        split: `test`, `unseen` (clips that the run was evaluated on later) or `validation`.
        groups: Number of independent groups of clips.
        real_called_fake: Errors on real clips.
        fake_called_real: Errors on fake clips.
        auc: Area under the ROC curve; None if the clips do not support it.
        auc_interval: 95 % bootstrap interval of the AUC, in which clips that share a person or
            source are resampled together.
    """

    split: str
    groups: int
    real_called_fake: ErrorRate
    fake_called_real: ErrorRate
    auc: float | None
    auc_interval: tuple[float, float] | None


@dataclass(frozen=True)
class RunFacts:
    """What identifies a run, and how often it is wrong.

    Attributes:
        path: Path of the run directory.
        model: Name of the model.
        data: Name of the data that it was trained on.
        created: When it was created.
        sha256: SHA-256 of its files by name.
        weights_sha256: SHA-256 of the weights files behind its features, by what they are of.
        fingerprint_id: Fingerprint of its features.
        clips: Number of clips in each split.
        decision: Threshold and abstention band, and the clips that they were chosen on.
        warnings: Warnings about limits of its metrics.
        errors: Its errors on each split that was evaluated.
    """

    path: str
    model: str
    data: str
    created: str
    sha256: dict[str, str]
    weights_sha256: dict[str, str]
    fingerprint_id: str
    clips: dict[str, int]
    decision: Decision
    warnings: tuple[str, ...]
    errors: tuple[SplitErrors, ...]


def read_run_facts(folder: Path) -> RunFacts:
    """Read the facts of a run.

    Raises:
        RunError: The run cannot be read, or is damaged.
    """
    description = run.describe(folder)
    measured = decode(folder / run.METRICS, MeasuredRun, _MAX_METRICS_BYTES)
    splits = {name: getattr(measured, name) for name in ("test", "unseen", "validation")}
    return RunFacts(
        path=str(folder),
        model=description.title,
        data=description.data,
        created=description.created,
        sha256={name: digest_of(folder / name) for name in (run.DESCRIPTION, run.WEIGHTS)},
        weights_sha256=_weights(description),
        fingerprint_id=description.fingerprint_id,
        clips=dict(description.split),
        decision=description.decision,
        warnings=description.warnings,
        errors=tuple(_errors(name, split) for name, split in splits.items() if split is not None),
    )


def _errors(name: str, split: MeasuredSplit) -> SplitErrors:
    confusion = split.confusion
    return SplitErrors(
        split=name,
        groups=split.groups,
        real_called_fake=ErrorRate.of(confusion.get("real_called_fake", 0), split.clips["real"]),
        fake_called_real=ErrorRate.of(confusion.get("fake_called_real", 0), split.clips["fake"]),
        auc=split.auc,
        auc_interval=split.intervals.auc,
    )


def _weights(description: RunDescription) -> dict[str, str]:
    """Return the digests in a fingerprint; "untrained" weights have a name instead."""
    found = {}
    for section, name in (("faces", "face detector"), ("backbone", "CNN")):
        fields: Any = description.fingerprint.get(section)
        if isinstance(fields, dict) and fields.get("weights_sha256"):
            found[name] = str(fields["weights_sha256"])
    return found
