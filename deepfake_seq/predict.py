"""Classify single clips: extract their features, then score them with a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepfake_seq import weights
from deepfake_seq.config import EVIDENCE, ExecutionConfig, PredictConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import RunError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.evidence.table import BLOCK_TABLE
from deepfake_seq.extract.options import ExtractOptions
from deepfake_seq.extract.pipeline import extract_records
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord, Fingerprint
from deepfake_seq.verdict import Span, Verdict, classify, classify_windows

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
) -> Iterator[Verdict]:
    """Classify clips with a run, using the extraction settings of the run.

    Args:
        paths: Paths of the clips. A clip that cannot be read gets an inconclusive verdict.
        run_folder: Path of the run directory.
        execution: Workers, batch size and other settings that do not change the features.
        override: Paths of weights files that have been moved.
        config: Which people and which time of each clip to judge.

    Yields:
        One verdict for each path, in the order of `paths`.

    Raises:
        RunError: The run cannot be read, or other weights or versions would change its features.
        WeightsError: A weights file is missing.
    """
    model = run.load(run_folder)
    resolved = _resolve(model, run_folder, override, config)
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
                yield classify_windows(windows, paths[expected], model, run_folder)
            else:
                yield classify(complete[0], paths[expected], model, run_folder)
            expected += 1


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
    selection: PredictConfig,
) -> ResolvedConfig:
    if "faces" not in model.fingerprint.fields:
        raise RunError(
            f"{run_folder} was not trained on a feature store, so its extraction settings are "
            "unknown. Train a run with `deepseq fit`."
        )
    faces, backbone = model.extract_config.faces, model.extract_config.backbone
    if faces.detector_weights is not None:
        path = override.detector or _weights_file(model, run_folder, "faces", "--detector-weights")
        faces = replace(faces, detector_weights=path)
    faces = replace(
        faces, people=selection.people, short_side=selection.short_side or faces.short_side
    )
    if backbone.uses_file:
        path = override.backbone or _weights_file(model, run_folder, "backbone", "--weights")
        backbone = replace(backbone, weights=path)
    names = tuple(name for name in model.blocks if name in EVIDENCE[1:])
    resolved = resolve(
        replace(model.extract_config, faces=faces, backbone=backbone),
        ExtractOptions(evidence=names),
    )
    blocks = {name: BLOCK_TABLE[name].settings(resolved.backbone) for name in names}
    differences = [
        *model.fingerprint.incompatibilities(resolved.fingerprint),
        *Fingerprint(model.evidence).differences(Fingerprint(blocks)),
    ]
    if differences:
        raise RunError(
            f"{run_folder} was trained on features that cannot be reproduced here; these differ: "
            f"{'; '.join(differences)}"
        )
    return resolved


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
