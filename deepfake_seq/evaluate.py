"""Evaluate a run on the clips of a store that it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.config import LimitsConfig
from deepfake_seq.errors import RunError, UsageError, VideoError
from deepfake_seq.extract import contact_sheet
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.sequence.data.dataset import SequenceData, clip_key, load
from deepfake_seq.sequence.evaluation import breakdown, predictions
from deepfake_seq.sequence.evaluation.metrics import at_threshold
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.reports.report import Evaluation, Mistake, render
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.description import RunDescription
from deepfake_seq.sequence.runs.history import Histories, read_histories
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.sequence.splits.leakage import KINDS, classify_overlap
from deepfake_seq.store import FeatureStore
from deepfake_seq.store.record_ids import person_of
from deepfake_seq.untrusted import damaged, read_file

REPORT = "report.html"
CARD = "README.md"

_MAX_MISTAKES = 6
_MAX_BYTES = 1 << 26


def evaluate(
    run_folder: Path, store: FeatureStore, *, videos: Path | None = None, out: Path | None = None
) -> tuple[Path, Evaluation]:
    """Evaluate a run on the clips of a store, and write `metrics.json` and `report.html`.

    Validation clips keep the scores that the run's calibration and threshold were chosen by: if
    several networks are averaged, each clip was scored by the one that was not trained on it.

    Args:
        run_folder: The run directory.
        store: Features that were made as the run's were.
        videos: What the clips' names are relative to, for pictures of the most confident mistakes.
        out: Where to write. By default the run directory, if the store holds all its test clips;
            else a folder in its `evaluations/`.

    Returns:
        The folder that was written to, and all that the report says.

    Raises:
        RunError: The run cannot be read, its features were made otherwise, or nothing is to judge.
        UsageError: `out` is another run, or this one although test clips are missing.
        DatasetError: The store holds no labelled clip that shows enough of the face.
        StoreError: A record is damaged.
    """
    description = run.describe(run_folder)
    model = run.load(run_folder)
    _require_same_features(run_folder, model, store)
    split = split_file.read_split(run_folder)
    said = predictions.read(run_folder / predictions.NAME)
    data = load(store, views=False)
    kinds = np.array(classify_overlap(data.clips, split), dtype=object)
    complete = _holds_test(data, kinds, split)
    folder = _folder(run_folder, store, out, complete)
    judged = _judge(model, data, kinds, said)
    if not judged:
        raise RunError(
            f"{store.path} has no clips to evaluate {run_folder} on: each was used in training, or "
            "shares a person or source with training clips"
        )
    metrics = {
        **(run.read_metrics(run_folder) if complete else {"baselines": {}}),
        "store": store.path.resolve().name,
        "clips": _counts(data, kinds),
        "excluded": dict(data.excluded),
        **{part: _metrics(judged.get(part), model) for part in ("validation", "test", "unseen")},
        "methods": {
            part: breakdown.by_method(own, model.decision.threshold) for part, own in judged.items()
        },
    }
    evaluation = Evaluation(
        run=run_folder.resolve().name,
        created=description.created,
        fingerprint_id=description.fingerprint_id,
        split=description.split,
        histories=_histories(run_folder, description),
        best_epochs=description.training.best_epochs,
        card=read_file(run_folder / CARD, _MAX_BYTES).decode(errors="replace"),
        store=store.path.resolve().name,
        reported=datetime.now().astimezone().isoformat(timespec="seconds"),
        model=model.title,
        decision=model.decision,
        warnings=[*description.warnings, *_warnings(data, kinds)],
        counts=metrics["clips"],
        excluded=metrics["excluded"],
        metrics=metrics,
        predictions=judged,
        mistakes=list(_mistakes(judged, model, store, videos)),
        frames_asked=videos is not None,
    )
    _write(folder, evaluation)
    return folder, evaluation


def _require_same_features(run_folder: Path, model: SequenceModel, store: FeatureStore) -> None:
    differences = model.fingerprint.differences(store.fingerprint)
    if differences:
        raise RunError(
            f"{run_folder} was trained on features made otherwise than those in {store.path}: "
            f"{'; '.join(differences)}"
        )


def _holds_test(data: SequenceData, kinds: npt.NDArray[Any], split: split_file.Split) -> bool:
    """Whether the store holds all clips that the run was tested on, or else validated on."""
    needed = split.get("test") or split.get("validation") or {}
    kept = [kind not in ("related", "copy") for kind in kinds]
    here = {clip.key for clip, own in zip(data.clips, kept, strict=True) if own}
    wanted = {clip_key(name, known.sha256) for name, known in needed.items()}
    return bool(needed) and wanted <= here


def _folder(run_folder: Path, store: FeatureStore, out: Path | None, complete: bool) -> Path:
    """Where to write."""
    if out is None and complete:
        return run_folder
    if out is None:
        out = run_folder / "evaluations" / store.path.resolve().name
        if any(folder.is_symlink() for folder in (out, out.parent)):
            raise RunError(f"{out} leads elsewhere by a link. Give --out, or remove the link.")
    own = out.resolve() == run_folder.resolve()
    if own and not complete:
        raise UsageError(f"{store.path} lacks test clips of {run_folder}. Give another --out.")
    if not own and os.path.lexists(out / run.DESCRIPTION):
        raise UsageError(
            f"{out} is another run, whose metrics would be overwritten. Give another --out."
        )
    return out


def _judge(
    model: SequenceModel, data: SequenceData, kinds: npt.NDArray[Any], said: Predictions
) -> dict[str, Predictions]:
    """The clips to judge by, with their scores; no part is empty."""
    here = {clip.key for clip in data.clips}
    validation = said.part("validation")
    kept = np.array([key in here for key in validation.keys], dtype=np.bool_)
    judged = {"validation": validation.take(np.flatnonzero(kept))}
    for part in ("test", "unseen"):
        own = data.take(np.flatnonzero(kinds == part))
        judged[part] = Predictions.of(part, own.clips_with_duplicates, model.scores(own))
    return {part: own for part, own in judged.items() if len(own)}


def _metrics(judged: Predictions | None, model: SequenceModel) -> dict[str, Any] | None:
    if judged is None:
        return None
    decision = model.decision
    return at_threshold(
        judged.labels, judged.scores, decision.threshold, band=decision.band, groups=judged.groups
    )


def _counts(data: SequenceData, kinds: npt.NDArray[Any]) -> dict[str, dict[str, int]]:
    return {kind: data.take(np.flatnonzero(kinds == kind)).counts for kind in KINDS}


def _histories(folder: Path, description: RunDescription) -> Histories:
    """Read how each network was trained."""
    histories = read_histories(folder)
    epochs, members = len(description.training.best_epochs), description.members
    if epochs != members or len(histories) not in (0, members):
        reason = f"training has {epochs} best epochs, and {len(histories)} histories"
        raise damaged(folder, f"{reason}, of {members} networks")
    return histories


def _warnings(data: SequenceData, kinds: npt.NDArray[Any]) -> list[str]:
    """List the limits of the metrics that follow from the roles of the store's clips."""
    warnings = []
    related, copies, unseen = (int((kinds == kind).sum()) for kind in ("related", "copy", "unseen"))
    if related:
        warnings.append(
            f"{related} clips were not evaluated: they share a person or source with clips that the"
            " run, or the CNN of its features, was trained on."
        )
    if copies:
        warnings.append(
            f"{copies} clips were not evaluated: each is a duplicate of a clip of the run."
        )
    if not unseen:
        return warnings
    nameless = sum(not data.clips[at].groups for at in np.flatnonzero(kinds == "unseen"))
    if nameless:
        warnings.append(
            f"{nameless} unseen clips have no identity group (column `group` in --labels): if the "
            "run was trained on the same people, the metrics are too optimistic."
        )
    return warnings


def _mistakes(
    judged: dict[str, Predictions],
    model: SequenceModel,
    store: FeatureStore,
    videos: Path | None,
) -> Iterator[Mistake]:
    """Yield the most confident mistakes on the test clips, or on the unseen ones if none."""
    part = judged.get("test") or judged.get("unseen")
    if part is None:
        return
    worst = breakdown.most_confident_mistakes(part, model.decision.threshold, _MAX_MISTAKES)
    with ExitStack() as stack:
        decoders = None
        if videos and len(worst):
            config = model.extract_config.sampling
            decoders = stack.enter_context(Decoders(1, config, LimitsConfig()))
        for video_id, label, score in zip(worst.video_ids, worst.labels, worst.scores, strict=True):
            picture, note = None, ""
            if videos and decoders:
                try:
                    picture = _sheet(videos, video_id, model, store, decoders)
                except VideoError as error:
                    note = f"Not shown: {error}."
            yield Mistake(video_id, int(label), float(score), picture, note)


def _sheet(
    videos: Path, video_id: str, model: SequenceModel, store: FeatureStore, decoders: Decoders
) -> bytes:
    config = model.extract_config
    person = person_of(video_id) if config.faces.people == "all" else ""
    path = videos / video_id.removesuffix(person)
    # A store may come from anybody, and so may the names in it.
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(videos)):
        raise VideoError("rejected", "its name leads out of the folder of videos")
    cells = contact_sheet.cells_of(path, store[video_id], decoders)
    return contact_sheet.picture([cells], "", config, "jpeg")


def _write(folder: Path, evaluation: Evaluation) -> None:
    page = render(evaluation).encode()
    try:
        atomic.write_json(folder / run.METRICS, evaluation.metrics)
        atomic.write_bytes(folder / REPORT, page)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
