"""Test a run on distorted clips that its networks did not see in training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq import locking, weights
from deepfake_seq.augment.distortions import DISTORTIONS_VERSION, SUITES, UNCHANGED, Distortion
from deepfake_seq.config import ExecutionConfig, StressConfig
from deepfake_seq.datasets import FAKE, REAL, VideoItem
from deepfake_seq.errors import RunError
from deepfake_seq.evaluate import require_same_features
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.records.distorted import DistortedClip, DistortedCropSource
from deepfake_seq.extract.records.from_videos import CropSource
from deepfake_seq.extract.resolve import ResolvedConfig, resolve_cached
from deepfake_seq.extract.video.decoder_pool import default_workers
from deepfake_seq.predict import WeightsOverride, backbone_of, extract_options_of
from deepfake_seq.sequence.data.clip import clip_key
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.evaluation.intervals import units
from deepfake_seq.sequence.evaluation.matched import CONDITIONS, ConditionTable
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.evaluation.robustness import ScoredClips, summarise
from deepfake_seq.sequence.models.networks import mean_logits
from deepfake_seq.sequence.reports.robustness import FOLDER
from deepfake_seq.sequence.runs import condition_table, run
from deepfake_seq.sequence.runs.description import RunDescription
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.stress_scores import StressScore, StressScores
from deepfake_seq.store import FaceStore, FeatureRecord, open_faces
from deepfake_seq.store.record_ids import CONDITIONS_FACT

SCORES = "scores.jsonl"
_LOCK = ".lock"

OnScore = Callable[[str], None]


@dataclass(frozen=True)
class StressClip:
    """A clip of a run that is tested.

    Attributes:
        record_id: Id of its record in the face cache.
        key: Key identifying the clip; see `clip_key`.
        label: 1 = fake, 0 = real.
        groups: Identities and source videos in the clip.
        split: `validation` or `test`.
        member: Number of the network that held the clip out; None if all networks did.
    """

    record_id: str
    key: str
    label: int
    groups: tuple[str, ...]
    split: str
    member: int | None


@dataclass(frozen=True, eq=False)
class StressTest:
    """A prepared test.

    Attributes:
        run_folder: Path of the run directory.
        model: Model of the run.
        resolved: Settings of the features, read from the face cache.
        config: Settings of the test.
        clips: The sampled clips.
        scores: The results so far.
        extra: Further distortions of the validation clips, which are not reported.
    """

    run_folder: Path
    model: SequenceModel
    resolved: ResolvedConfig
    config: StressConfig
    clips: tuple[StressClip, ...]
    scores: StressScores
    extra: tuple[Distortion, ...] = ()

    @property
    def steps(self) -> list[tuple[StressClip, Distortion]]:
        """Each clip with each distortion to test it under, the unchanged clip first."""
        return [
            (clip, distortion)
            for clip in self.clips
            for distortion in (
                UNCHANGED,
                *distortions(self.config, clip.split),
                *(self.extra if clip.split == "validation" else ()),
            )
        ]

    @property
    def missing(self) -> list[tuple[StressClip, Distortion]]:
        """The steps without a result."""
        return [step for step in self.steps if (step[0].key, step[1].name) not in self.scores]


def distortions(config: StressConfig, split: str) -> tuple[Distortion, ...]:
    """Return the distortions of a split: test clips are never part of a table of error rates."""
    names = [name for name in SUITES if name in config.suites]
    if split == "test":
        names = [name for name in names if name != "grid"]
    return tuple(distortion for name in names for distortion in SUITES[name])


def locked(run_folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from testing a run, because each would replace the other's results.

    Raises:
        UsageError: Another process tests the run.
        RunError: The run cannot be read, or its folder cannot be written.
    """
    run.describe(run_folder)  # so that no folder is created where there is no run
    return locking.locked(
        run_folder / FOLDER / _LOCK,
        f"another `deepseq stress` is testing {run_folder}. Wait until it ends.",
    )


def prepare(
    run_folder: Path,
    store: Path,
    config: StressConfig,
    override: WeightsOverride | None = None,
) -> StressTest:
    """Find the clips of a run in a face cache, and the results of an earlier, interrupted test.

    Args:
        run_folder: Path of the run directory.
        store: Path of a face cache, or of a feature store with one.
        config: Which clips and distortions to test.
        override: Paths of weights files that have been moved.

    Raises:
        RunError: The run cannot be read, its features differ from those of the faces, or none of
            its validation and test clips is in the store.
        StoreError: There is no face cache.
        WeightsError: A weights file is missing.
    """
    description, model = run.describe(run_folder), run.load(run_folder)
    backbone = backbone_of(model, run_folder, override or WeightsOverride())
    with open_faces(store) as faces:
        resolved = resolve_cached(faces, backbone, extract_options_of(model), model.ranges)
        require_same_features(run_folder, model, faces.path, resolved.fingerprint)
        held_out = predictions.read(run_folder / predictions.NAME)
        clips = _clips(run_folder, description, held_out, faces)
    if not clips:
        raise RunError(
            f"none of the validation and test clips of {run_folder} has faces in {store}. Give the "
            "store that the run was trained on, extracted with --keep-faces, with --features."
        )
    sampled = [
        clip
        for split in ("validation", "test")
        for clip in sample_by_group(
            [clip for clip in clips if clip.split == split], config.clips, config.seed
        )
    ]
    scores = StressScores(run_folder / FOLDER / SCORES, _fingerprint(run_folder, model, config))
    return StressTest(run_folder, model, resolved, config, tuple(sampled), scores)


def compute(
    test: StressTest, execution: ExecutionConfig, on_score: OnScore = lambda name: None
) -> None:
    """Compute the missing results of a test; every finished one is kept if it is interrupted.

    Args:
        test: The test.
        execution: Workers and runtime.
        on_score: Called with the name of the clip after each step.
    """
    missing = test.missing
    if not missing:
        return
    clips = {
        str(number): DistortedClip(clip.record_id, distortion, test.config.seed)
        for number, (clip, distortion) in enumerate(missing)
    }
    lanes = execution.workers or default_workers()

    def crop_source(evidence: Evidence) -> CropSource:
        return DistortedCropSource(test.resolved, evidence, lanes, clips)

    items = [VideoItem(Path(name), name) for name in clips]
    with (
        Extractor.build(test.resolved, execution, len(items), crop_source=crop_source) as extractor,
        test.scores.appending() as appender,
    ):
        for item, records in extractor.records(items):
            clip, distortion = missing[int(item.video_id)]
            appender.add(_score(test.model, clip, distortion, records[0]))
            on_score(clip.record_id)


def results(test: StressTest) -> dict[str, list[dict[str, Any]]]:
    """Summarise a test, by split, with the suites that were tested earlier on the same clips.

    Returns:
        For each split with clips, the results of `robustness.summarise` for each distortion that
        all its clips were tested under, with its `name`, `kind` and `level`, as plain JSON values.
        Cells of the grid are left out.
    """
    by_split = {}
    for split in ("validation", "test"):
        clips = _usable(test, split)
        if not clips:
            continue
        unchanged = scored(test, clips, UNCHANGED)
        by_split[split] = [
            {
                "name": distortion.name,
                "kind": distortion.kind,
                "level": distortion.level[0] if distortion.level else None,
                **summarise(distorted, unchanged, test.model.decision),
            }
            for distortion in (UNCHANGED, *SUITES["deeperforensics"], *SUITES["field"])
            if _is_complete(test, clips, distortion)
            if len((distorted := scored(test, clips, distortion)).keys)
        ]
    return by_split


def summary(test: StressTest, by_split: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the JSON document of a test.

    Args:
        test: The test.
        by_split: Its results; see `results`.
    """
    decision = test.model.decision
    return {
        "run": str(test.run_folder),
        "model": test.model.title,
        "store": str(test.resolved.face_cache),
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "threshold": decision.threshold,
        "band": list(decision.band),
        "results": by_split,
    }


def write_table(test: StressTest) -> dict[str, str]:
    """Write the table of error rates by conditions into the run, if the grid was tested.

    Returns:
        The path of the file by kind, or nothing.
    """
    clips = _usable(test, "validation")
    if not clips or not all(_is_complete(test, clips, cell) for cell in SUITES["grid"]):
        return {}
    path = condition_table.write_table(test.run_folder, table_of(test, clips))
    return {"conditions": str(path)}


def table_of(test: StressTest, clips: Sequence[StressClip]) -> ConditionTable:
    """Return the table of error rates by conditions of some clips, tested under the grid."""
    versions = [
        (position, score)
        for position, clip in enumerate(clips)
        for distortion in (UNCHANGED, *SUITES["grid"])
        if (score := test.scores.get(clip.key, distortion.name)) and score.logit is not None
    ]
    logits = np.array([score.logit for _, score in versions], dtype=np.float64)
    return ConditionTable(
        labels=np.array([clip.label for clip in clips], dtype=np.int64),
        unit=units([clip.groups for clip in clips], len(clips)),
        unchanged=scored(test, clips, UNCHANGED).scores,
        clip=np.array([position for position, _ in versions], dtype=np.int64),
        scores=test.model.calibration.apply(logits),
        conditions=np.array(
            [[getattr(score, name) for name in CONDITIONS] for _, score in versions]
        ),
    )


def sample_by_group(clips: Sequence[StressClip], count: int, seed: int) -> list[StressClip]:
    """Draw whole groups of clips at random, so that both classes keep their proportions.

    Args:
        clips: The clips.
        count: Maximum number of clips; of a group that is larger, some clips are left out.
        seed: Seed of the draw.
    """
    if len(clips) <= count:
        return list(clips)
    generator = np.random.default_rng(seed)
    unit = units([clip.groups for clip in clips], len(clips))
    drawn: dict[int, list[int]] = {REAL: [], FAKE: []}
    for number in generator.permutation(unit.max() + 1).tolist():
        first = int(np.flatnonzero(unit == number)[0])
        drawn[clips[first].label].append(number)
    # Interleave the groups of both classes in proportion to their numbers.
    order = sorted(
        ((position + 0.5) / len(groups), number)
        for groups in drawn.values()
        for position, number in enumerate(groups)
    )
    chosen = [int(at) for _, number in order for at in np.flatnonzero(unit == number)]
    return [clips[at] for at in sorted(chosen[:count])]


def _usable(test: StressTest, split: str) -> list[StressClip]:
    """Return the clips of a split whose faces could be read."""
    return [
        clip
        for clip in test.clips
        if clip.split == split
        if (score := test.scores.get(clip.key, UNCHANGED.name)) and score.logit is not None
    ]


def _is_complete(test: StressTest, clips: Sequence[StressClip], distortion: Distortion) -> bool:
    return all((clip.key, distortion.name) in test.scores for clip in clips)


def _clips(
    run_folder: Path, description: RunDescription, held_out: Predictions, faces: FaceStore
) -> list[StressClip]:
    """Return the validation and test clips of a run that are in a face cache."""
    ids = {}
    for entry in faces.entries():
        values = entry.metadata
        ids[clip_key(values["video_id"], values["source"].sha256)] = values["video_id"]
    members = iter(_members(run_folder, description, held_out))
    clips = []
    for position, (split, key) in enumerate(zip(held_out.splits, held_out.keys, strict=True)):
        member = next(members) if split == "validation" else None
        if key in ids:
            label, groups = int(held_out.labels[position]), held_out.groups[position]
            clips.append(StressClip(ids[key], key, label, groups, split, member))
    return clips


def _members(run_folder: Path, description: RunDescription, held_out: Predictions) -> Iterator[int]:
    """Yield the number of the network that held out each validation clip.

    Raises:
        RunError: The run does not say.
    """
    counts = description.training.held_out or (held_out.splits.count("validation"),)
    if len(counts) != description.members or sum(counts) != held_out.splits.count("validation"):
        raise RunError(
            f"{run_folder} does not say which of its {description.members} networks held out which "
            "validation clip: it was written by an earlier version. Train it again with `deepseq "
            "fit`."
        )
    for member, count in enumerate(counts):
        yield from [member] * count


def _score(
    model: SequenceModel, clip: StressClip, distortion: Distortion, record: FeatureRecord
) -> StressScore:
    if record.failed:
        return StressScore(clip.key, distortion.name, None)
    networks = model.members if clip.member is None else (model.members[clip.member],)
    logit = float(mean_logits(networks, model.arrays_of(record))[0])
    measured = record.facts[CONDITIONS_FACT]
    return StressScore(clip.key, distortion.name, logit, *(measured[name] for name in CONDITIONS))


def scored(test: StressTest, clips: Sequence[StressClip], distortion: Distortion) -> ScoredClips:
    """Return the clips to which a distortion could be applied, with their scores."""
    found = [
        (clip, score)
        for clip in clips
        if (score := test.scores.get(clip.key, distortion.name)) and score.logit is not None
    ]
    logits = np.array([score.logit for _, score in found], dtype=np.float64)
    return ScoredClips(
        tuple(clip.key for clip, _ in found),
        np.array([clip.label for clip, _ in found], dtype=np.int64),
        tuple(clip.groups for clip, _ in found),
        test.model.calibration.apply(logits),
        np.array([score.face_pixels for _, score in found], dtype=np.float64),
    )


def _fingerprint(run_folder: Path, model: SequenceModel, config: StressConfig) -> str:
    """Identify everything that the logits depend on, except the clips and the distortions."""
    fields = {
        "weights": weights.digest_of(run_folder / run.WEIGHTS),
        "features": model.fingerprint.id,
        "distortions": DISTORTIONS_VERSION,
        "seed": config.seed,
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
