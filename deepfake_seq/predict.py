"""Classify single clips: extract their features, then score them with a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from deepfake_seq import weights
from deepfake_seq.config import (
    EVIDENCE,
    MIN_VALID_FRAMES,
    BackboneConfig,
    ExecutionConfig,
    PredictConfig,
)
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.evidence.table import BLOCK_TABLE
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.options import ExtractOptions
from deepfake_seq.extract.records.from_videos import OnPeople
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.sequence.evaluation.reference import ReferenceClips
from deepfake_seq.sequence.runs import condition_table, run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord, Fingerprint
from deepfake_seq.store.record_ids import CONDITIONS_FACT
from deepfake_seq.verdict import (
    Basis,
    Span,
    Verdict,
    classify,
    classify_windows,
    mean_features,
    suspicion,
)

_WHOLE_CLIP = PredictConfig()

T = TypeVar("T")

__all__ = ["Predictor", "SubmittedClip", "Verdict", "WeightsOverride", "predict"]


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
    arguments = (run_folder, execution, override, config)
    with Predictor(*arguments, reference=reference, clips=len(paths)) as predictor:
        yield from (verdict for _, verdict in in_order(predictor.verdicts(paths)))


def in_order(results: Iterable[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    """Yield numbered results in the order of their numbers, each as soon as it can be.

    Args:
        results: Results with their numbers, which are counted from 0, in any order.
    """
    waiting: dict[int, T] = {}
    expected = 0
    for number, result in results:
        waiting[number] = result
        while expected in waiting:
            yield expected, waiting.pop(expected)
            expected += 1


@dataclass(eq=False)
class SubmittedClip:
    """A clip, its parts, and the records of the parts that are complete.

    Attributes:
        number: Number that `Predictor.submit` returned for it.
        path: Path of the clip.
        parts: The parts to classify; None is the whole clip.
        records: One record per person for each part, by the position of the part in `parts`.
    """

    number: int
    path: Path
    parts: list[Span | None]
    records: dict[int, list[FeatureRecord]] = field(default_factory=dict)

    def video_id(self, part: int = 0) -> str:
        """Return the id of the item that the extractor gets for a part."""
        return f"{self.number}/{part}"


class Predictor:
    """Classifies clips with a run; a context manager that keeps the CNN and the detector loaded.

    `verdicts` classifies a list of clips. Where clips arrive one by one, `submit` a clip while
    there `has_room`, and collect the `finished` ones. Only one thread may use it at a time.

    Args:
        run_folder: Path of the run directory.
        execution: Workers and other settings that do not change the features.
        override: Paths of weights files that have been moved.
        config: Which people and which time of each clip to judge.
        reference: Paths of genuine clips of the person in the clips; in each, the main person
            counts.
        clips: Maximum number of clips, if known; no more decoding processes than that are started.
        on_stage: Called by several threads with the path of a clip and the name of the stage that
            it, or one of its windows, enters: `decode`, `detect` or `cnn`.
        on_people: Called by several threads with the frames of a part of a clip, and the people in
            them; see `SubmittedClip.video_id`.
        on_part: Called with a clip and the position of a part whose records are complete.

    Attributes:
        model: Model of the run.
        resolved: Extraction settings of the run.
        extractor: Makes the records.
        decoders: Answers questions about single files.

    Raises:
        RunError: The run cannot be read, or other weights or versions would change its features.
        UsageError: The run cannot give novelty p-values as small as `config` asks for.
        WeightsError: A weights file is missing.
    """

    def __init__(
        self,
        run_folder: Path,
        execution: ExecutionConfig,
        override: WeightsOverride = WeightsOverride(),
        config: PredictConfig = _WHOLE_CLIP,
        *,
        reference: Sequence[Path] = (),
        clips: int | None = None,
        on_stage: Callable[[Path, str], None] = lambda path, stage: None,
        on_people: OnPeople = lambda item, video, people: None,
        on_part: Callable[[SubmittedClip, int], None] = lambda clip, part: None,
    ) -> None:
        self._on_part = on_part
        self._run_folder = run_folder
        self._config = config
        self.model = run.load(run_folder)
        self.resolved = _resolve(self.model, run_folder, override, config)
        _require_novelty(self.model, run_folder, config.novelty_alpha)
        self._basis = Basis(
            condition_table.read_table(run_folder),
            _reference(reference, self.model, self.resolved, execution),
            config.novelty_alpha,
        )
        # Its process starts with the first call.
        self.decoders = Decoders(1, self.resolved.config.sampling, execution.limits)
        self.extractor = Extractor.build(
            self.resolved,
            execution,
            None if config.window_seconds else clips,
            lambda item, stage: on_stage(item.path, stage),
            on_people,
        )
        self._clips: dict[int, SubmittedClip] = {}
        self._waiting: deque[VideoItem] = deque()
        self._submitted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding processes and the threads; unfinished clips are dropped."""
        self.decoders.close()
        self.extractor.close()

    def verdicts(self, paths: Iterable[Path]) -> Iterator[tuple[int, Verdict]]:
        """Classify clips; yield the position of each and its verdict as soon as it is done."""
        for path in paths:
            self.submit(path)
            while not self.has_room:
                yield from self.finished()
        while self.is_busy:
            yield from self.finished()

    @property
    def has_room(self) -> bool:
        """Whether another clip can be submitted without piling up work."""
        return not self._waiting and self.extractor.has_room

    @property
    def is_busy(self) -> bool:
        """Whether any submitted clip is not finished."""
        return bool(self._clips)

    def submit(self, path: Path) -> int:
        """Start classifying a clip; return its number, counted from 0."""
        number = self._submitted
        self._submitted += 1
        clip = self._clips[number] = SubmittedClip(number, path, self._parts(path))
        for window, span in enumerate(clip.parts):
            self._waiting.append(VideoItem(path, clip.video_id(window), span=span))
        self._feed()
        return number

    def finished(self, seconds: float | None = None) -> Iterator[tuple[int, Verdict]]:
        """Wait until some step is done; yield number and verdict of the clips it completed, if any.

        May only be called while the predictor `is_busy`.

        Args:
            seconds: Maximum time to wait; None to wait as long as the step takes.
        """
        for clip in self.extracted(seconds):
            yield clip.number, self.verdict(clip)

    def extracted(self, seconds: float | None = None) -> Iterator[SubmittedClip]:
        """Wait like `finished`; yield the completed clips themselves, with their records."""
        for video in self.extractor.finished(seconds):
            number, _, part = video.item.video_id.partition("/")
            clip = self._clips[int(number)]
            clip.records[int(part)] = video.records
            self._on_part(clip, int(part))
            if len(clip.records) == len(clip.parts):
                yield self._clips.pop(clip.number)
        self._feed()

    def verdict(self, clip: SubmittedClip) -> Verdict:
        """Return the verdict on a completed clip."""
        windows = [(span, clip.records[at]) for at, span in enumerate(clip.parts) if span]
        if self._config.window_seconds is not None and windows:
            return classify_windows(windows, clip.path, self.model, self._run_folder, self._basis)
        return classify(clip.records[0], clip.path, self.model, self._run_folder, self._basis)

    def suspicion(self, clip: SubmittedClip, part: int) -> float:
        """Return how suspicious a completed part is; the part with the highest value decides."""
        return suspicion(clip.records[part], self.model, self._basis)

    def _feed(self) -> None:
        while self._waiting and self.extractor.has_room:
            self.extractor.submit(self._waiting.popleft())

    def _parts(self, path: Path) -> list[Span | None]:
        """Return the parts of a clip to judge; None is the whole clip."""
        config = self._config
        if (config.window_seconds, config.start_seconds, config.end_seconds) == (None, None, None):
            return [None]
        length = self.decoders.duration(path)
        # A clip that cannot be read is extracted as a whole, which gives the reason.
        return list(config.spans(length)) if length else [None]


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
    with Extractor.build(largest, execution, len(items)) as extractor:
        found = {
            record.source.sha256: record
            for _, records in extractor.records(items)
            for record in records
            if record.frames_valid >= MIN_VALID_FRAMES
        }
    records = list(found.values())
    width = resolved.backbone.width
    return ReferenceClips(
        tuple(found),
        np.array([mean_features(record) for record in records]).reshape(-1, width),
        np.array([model.scores_of(model.arrays_of(record))[0] for record in records]),
        tuple(record.facts.get(CONDITIONS_FACT, {}) for record in records),
    )


def _require_novelty(model: SequenceModel, run_folder: Path, alpha: float) -> None:
    """Raise a UsageError if no clip can have a novelty p-value of at most `alpha`."""
    if not alpha:
        return
    if model.novelty is None:
        raise UsageError(
            f"--novelty-alpha needs a run that measures novelty, and {run_folder} does not. Train "
            "one on the same store with `deepseq fit`."
        )
    smallest = 1 / (model.novelty.clips + 1)
    if alpha < smallest:
        raise UsageError(
            f"--novelty-alpha is too small for {run_folder}: with {model.novelty.clips} validation "
            f"clips, the smallest p-value is {smallest:.3g}. Received: {alpha:g}"
        )


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
    faces = model.extract_config.faces
    if faces.detector_weights is not None:
        path = override.detector or _weights_file(model, run_folder, "faces", "--detector-weights")
        faces = replace(faces, detector_weights=path)
    faces = replace(
        faces, people=selection.people, short_side=selection.short_side or faces.short_side
    )
    backbone = backbone_of(model, run_folder, override)
    options = extract_options_of(model)
    config = replace(model.extract_config, faces=faces, backbone=backbone)
    resolved = resolve(config, options, model.ranges)
    blocks = {name: BLOCK_TABLE[name].settings(resolved.backbone) for name in options.evidence}
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


def extract_options_of(model: SequenceModel) -> ExtractOptions:
    """Return the options of extraction that make the evidence blocks of a run."""
    return ExtractOptions(evidence=tuple(name for name in model.blocks if name in EVIDENCE[1:]))


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
