"""Classify single clips: extract their features, then score them with a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepfake_seq import weights
from deepfake_seq.config import MIN_VALID_FRAMES, BackboneConfig, ExecutionConfig, PredictConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import RunError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.pipeline import extract_records
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.sequence.evaluation.reference import ReferenceClips
from deepfake_seq.sequence.runs import condition_table, run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record_ids import CONDITIONS_FACT
from deepfake_seq.verdict import (
    Basis,
    Span,
    Verdict,
    classify,
    classify_windows,
    mean_features,
)

_WHOLE_CLIP = PredictConfig()

__all__ = ["Verdict", "WeightsOverride", "predict"]


@dataclass(frozen=True)
class WeightsOverride:
    """Present paths of weights files that have been moved since the run was trained.

    Attributes:
        detector: Path of the face detector's weights file, or None to search for it.
        backbone: Path of the CNN's weights file, or None to search for it.
    """

    detector: str | None = None
    backbone: str | None = None


def predict(
    paths: Sequence[Path],
    run_folder: Path,
    execution: ExecutionConfig,
    override: WeightsOverride = WeightsOverride(),
    config: PredictConfig = _WHOLE_CLIP,
    reference: Sequence[Path] = (),
) -> Iterator[Verdict]:
    """Classify clips with a run, using the extraction settings of the run.

    Args:
        paths: Paths of the clips. A clip that cannot be read gets an inconclusive verdict.
        run_folder: Path of the run directory.
        execution: Workers, batch size and other settings that do not change the features.
        override: Paths of weights files that have been moved.
        config: Which people and which time of each clip to judge.
        reference: Paths of genuine clips of the person in the clips; in each, the main person
            counts.

    Yields:
        One verdict for each path, in the order of `paths`.

    Raises:
        RunError: The run cannot be read, or other weights or versions would change its features.
        WeightsError: A weights file is missing.
    """
    model = run.load(run_folder)
    resolved = _resolve(model, run_folder, override, config)
    genuine = _reference(reference, model, resolved, execution)
    basis = Basis(condition_table.read_table(run_folder), genuine)
    parts = _parts(paths, resolved, execution, config)
    items = [
        VideoItem(path, f"{number}/{window}", span=span)
        for number, path in enumerate(paths)
        for window, span in enumerate(parts[number])
    ]
    extracted: dict[int, dict[int, list[FeatureRecord]]] = defaultdict(dict)
    expected = 0
    for item, records in extract_records(items, resolved, execution):
        number, window = map(int, item.video_id.split("/"))
        extracted[number][window] = records
        while expected < len(paths) and len(extracted[expected]) == len(parts[expected]):
            complete = extracted.pop(expected)
            windows = [(span, complete[at]) for at, span in enumerate(parts[expected]) if span]
            if config.window_seconds is not None and windows:
                yield classify_windows(windows, paths[expected], model, run_folder, basis)
            else:
                yield classify(complete[0], paths[expected], model, run_folder, basis)
            expected += 1


def _reference(
    paths: Sequence[Path],
    model: SequenceModel,
    resolved: ResolvedConfig,
    execution: ExecutionConfig,
) -> ReferenceClips | None:
    """Extract and score genuine clips; those that cannot be used are left out. None without any."""
    if not paths:
        return None
    faces = replace(resolved.config.faces, people="largest")
    largest = replace(resolved, config=replace(resolved.config, faces=faces))
    items = [VideoItem(path, str(number)) for number, path in enumerate(paths)]
    found = {
        record.source.sha256: record
        for _, records in extract_records(items, largest, execution)
        for record in records
        if record.frames_valid >= MIN_VALID_FRAMES
    }
    records = list(found.values())
    width = resolved.backbone.width
    return ReferenceClips(
        tuple(found),
        np.array([mean_features(record) for record in records]).reshape(-1, width),
        np.array(
            [model.scores_of((record.features[None], record.mask[None]))[0] for record in records]
        ),
        tuple(record.facts.get(CONDITIONS_FACT, {}) for record in records),
    )


def _parts(
    paths: Sequence[Path],
    resolved: ResolvedConfig,
    execution: ExecutionConfig,
    config: PredictConfig,
) -> list[list[Span | None]]:
    """Return the parts of each clip to judge; None is the whole clip."""
    if (config.window_seconds, config.start_seconds, config.end_seconds) == (None, None, None):
        return [[None] for _ in paths]
    with Decoders(1, resolved.config.sampling, execution.limits) as decoders:
        durations = [decoders.duration(path) for path in paths]
    # A clip that cannot be read is extracted as a whole, which gives the reason.
    return [[None] if not length else list(config.spans(length)) for length in durations]


def _resolve(
    model: SequenceModel,
    run_folder: Path,
    override: WeightsOverride,
    config: PredictConfig,
) -> ResolvedConfig:
    if "faces" not in model.fingerprint.fields:
        raise RunError(
            f"{run_folder} was not trained on a feature store, so its extraction settings are "
            "unknown. Train a run with `deepseq fit`."
        )
    faces = model.extract_config.faces
    if faces.detector_weights is not None:
        path = override.detector or _weights_file(model, run_folder, "faces", "--detector-weights")
        faces = replace(faces, detector_weights=path)
    faces = replace(faces, people=config.people, short_side=config.short_side or faces.short_side)
    backbone = backbone_of(model, run_folder, override)
    resolved = resolve(replace(model.extract_config, faces=faces, backbone=backbone))
    differences = model.fingerprint.incompatibilities(resolved.fingerprint)
    if differences:
        raise RunError(
            f"{run_folder} was trained on features that cannot be reproduced here; these differ: "
            f"{'; '.join(differences)}"
        )
    return resolved


def backbone_of(
    model: SequenceModel, run_folder: Path, override: WeightsOverride
) -> BackboneConfig:
    """Return the CNN of a run, with the present path of its weights file.

    Raises:
        RunError: The weights file is in no known location.
    """
    backbone = model.extract_config.backbone
    if not backbone.uses_file:
        return backbone
    path = override.backbone or _weights_file(model, run_folder, "backbone", "--weights")
    return replace(backbone, weights=path)


def _weights_file(model: SequenceModel, run_folder: Path, section: str, option: str) -> str:
    """Return the path of the weights file behind the features, if its location is known."""
    config = model.extract_config
    name = config.faces.detector_weights if section == "faces" else config.backbone.weights
    try:
        digest = str(model.fingerprint.fields[section]["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{run_folder} is damaged: its fingerprint lacks {section}") from error
    in_run = finetuned_weights.in_run(run_folder, digest) if option == "--weights" else None
    path = in_run or weights.find_given(digest)
    if path is None:
        raise RunError(
            f"{run_folder} was trained with the weights file {name} (SHA-256 {digest[:12]}…), "
            f"which is not in any known location. Give its path with {option}."
        )
    return str(path)
