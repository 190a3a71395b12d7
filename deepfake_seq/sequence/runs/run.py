"""A run directory: a trained model, and everything needed to use and evaluate it.

Weights are stored as safetensors and everything else as JSON. Loading a run executes nothing that
the run contains, and opens only regular files inside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq import atomic
from deepfake_seq.config import ExtractConfig, ModelConfig
from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import FEATURES, Arrays, Tensor, joined
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.metrics import Scores
from deepfake_seq.sequence.evaluation.novelty import NoveltyScore
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.models.networks import Network, mean_logits, restore
from deepfake_seq.sequence.runs.description import RunDescription, RunMetrics
from deepfake_seq.sequence.runs.novelty_file import read_novelty, write_novelty
from deepfake_seq.store import FeatureRecord, Fingerprint
from deepfake_seq.store.records.record import EVIDENCE_FACT
from deepfake_seq.store.shards.description import MAX_RANGES_BYTES, RANGES
from deepfake_seq.untrusted import damaged, decode, read_file, read_tensors

DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"

MAX_DESCRIPTION_BYTES = 1 << 20
_MAX_METRICS_BYTES = 1 << 26
_MAX_WEIGHTS_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """A trained, calibrated model.

    Attributes:
        config: Architecture of the model.
        members: Networks; the model's logit is the mean of their logits.
        shape: Shape (T, D) of its input features.
        calibration: Maps its logits to probabilities.
        decision: Threshold and abstention band of the probabilities.
        data: Name of the data that it was trained on.
        extract_config: Extraction settings that its features require. Weights files are named
            without their folders; the fingerprint has their digests.
        fingerprint: Fingerprint of the features that it was trained on.
        title: Name of the model; by default the title of `config`.
        blocks: Width of each evidence block in its input features, in their order; by default
            there is one.
        evidence: Settings of these blocks, except `features`; see the fact `evidence` of records.
        novelty: Tells how unlike its clips another clip is; None in runs of `finetune` and of
            versions that had none.
        ranges: Ranges file of the int8 CNN behind its features; None for other precisions.
    """

    config: ModelConfig
    members: tuple[Network, ...]
    shape: tuple[int, int]
    calibration: PlattScaling
    decision: Decision
    data: str
    extract_config: ExtractConfig
    fingerprint: Fingerprint
    title: str = ""
    blocks: Mapping[str, int] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    novelty: NoveltyScore | None = None
    ranges: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.config.title)
        if not self.blocks:
            object.__setattr__(self, "blocks", {FEATURES: self.shape[1]})

    def arrays_of(self, record: FeatureRecord) -> Arrays:
        """Return the features (1, T, D) and the mask (1, T) of a record with the model's blocks.

        Raises:
            RunError: The record lacks a block, or has one with other settings.
        """
        blocks = record.blocks
        missing = [name for name in self.blocks if name not in blocks]
        if missing:
            raise RunError(
                f"the {self.title} needs evidence blocks that were not extracted: "
                f"{', '.join(missing)}. Received: {', '.join(blocks)}"
            )
        stored = record.facts.get(EVIDENCE_FACT, {})
        for name, settings in self.evidence.items():
            if stored.get(name) != settings:
                raise RunError(
                    f"the {self.title} was trained on the evidence block {name} with other "
                    f"settings. Received: {stored.get(name)} instead of {settings}"
                )
        return joined(blocks, self.blocks)[None], record.mask[None]

    def scores_of(self, arrays: Arrays) -> Scores:
        """Compute calibrated probabilities of fake, (N,), of features (N, T, D), mask (N, T).

        Raises:
            RunError: A logit is not finite.
        """
        logits = mean_logits(self.members, arrays)
        if not np.isfinite(logits).all():
            raise RunError(
                f"the {self.title} gives a logit that is not finite: its weights are damaged"
            )
        return self.calibration.apply(logits)

    def scores(self, data: SequenceData) -> Scores:
        """Compute calibrated probabilities of fake, (N,), reading the clips in batches."""
        return np.concatenate([np.zeros(0), *(self.scores_of(batch) for batch in data.batches())])

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters of one network: `total` and `trainable`."""
        return self.members[0].parameters


def save(folder: Path, model: SequenceModel, notes: dict[str, Any]) -> None:
    """Write a model into `folder`.

    Args:
        folder: Existing folder to write into.
        model: The model.
        notes: Further keys of `model.json`: those that `RunDescription` requires (created,
            parameters, split, warnings) and others; a `title` here overrides the model's title.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {
        f"{_prefix(number)}{name}": tensor
        for number, member in enumerate(model.members)
        for name, tensor in member.tensors.items()
    }
    atomic.write_bytes(folder / WEIGHTS, to_bytes(tensors))
    if model.novelty is not None:
        write_novelty(folder, model.novelty)
    frames, width = model.shape
    description = {
        "format": "deepseq-run",
        "format_version": 2,
        "model": asdict(model.config),
        "members": len(model.members),
        "input": {"frames": frames, "width": width, "blocks": dict(model.blocks)},
        "evidence": dict(model.evidence),
        "calibration": asdict(model.calibration),
        "decision": asdict(model.decision),
        "data": model.data,
        "fingerprint_id": model.fingerprint.id,
        "fingerprint": dict(model.fingerprint.fields),
        "extract_config": model.extract_config.without_folders().to_dict(),
        **({"title": model.title} if model.title != model.config.title else {}),
        **notes,
    }
    if model.ranges is not None:
        atomic.write_bytes(folder / RANGES, model.ranges)
    atomic.write_json(folder / DESCRIPTION, description)


def describe(folder: Path) -> RunDescription:
    """Read `model.json`.

    Raises:
        RunError: There is no run in `folder`, or it is damaged.
    """
    path = folder / DESCRIPTION
    if not os.path.lexists(path):
        raise RunError(
            f"no run in {folder}: it has no {DESCRIPTION}. Create one with `deepseq fit`."
        )
    return decode(path, RunDescription, MAX_DESCRIPTION_BYTES)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read `metrics.json` as plain values; the keys that `RunMetrics` names are checked.

    Raises:
        RunError: The file cannot be read, or is damaged.
    """
    decode(folder / METRICS, RunMetrics, _MAX_METRICS_BYTES)
    return decode(folder / METRICS, dict[str, Any], _MAX_METRICS_BYTES)


def load(folder: Path) -> SequenceModel:
    """Load the model of a run.

    Raises:
        RunError: A file is missing, damaged or inconsistent; the message names it.
    """
    description = describe(folder)
    members: list[dict[str, Tensor]] = [{} for _ in range(description.members)]
    path = folder / WEIGHTS
    try:
        for name, tensor in read_tensors(path, _MAX_WEIGHTS_BYTES).items():
            number = next(n for n in range(len(members)) if name.startswith(_prefix(n)))
            members[number][name.removeprefix(_prefix(number))] = tensor
        shape = (description.input.frames, description.input.width)
        config = description.config
        networks = tuple(restore(config, shape[1], tensors) for tensors in members)
    except (ValueError, StopIteration) as error:
        reason = str(error) or f"{name} belongs to no network"
        raise damaged(path, reason) from error
    return SequenceModel(
        config,
        networks,
        shape,
        description.calibration,
        description.decision,
        description.data,
        description.extraction,
        Fingerprint(description.fingerprint),
        description.title,
        description.input.blocks,
        description.evidence,
        read_novelty(folder, description.members, shape[1]),
        read_file(folder / RANGES, MAX_RANGES_BYTES) if (folder / RANGES).exists() else None,
    )


def newest(runs: Path) -> Path:
    """Return the newest run in `runs`.

    Raises:
        RunError: There is no run.
    """
    folders = [path.parent for path in runs.glob(f"*/{DESCRIPTION}")]
    if not folders:
        raise RunError(f"no run in {runs}. Train one with `deepseq fit`, or give one with --run.")
    return max(folders, key=lambda folder: ((folder / DESCRIPTION).stat().st_mtime_ns, folder.name))


def _prefix(number: int) -> str:
    return f"member_{number}/"
