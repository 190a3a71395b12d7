"""Evaluate a run on clips of a store that it was not trained on."""

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
from deepfake_seq.sequence.reports import robustness
from deepfake_seq.sequence.reports.report import Evaluation, Mistake, render
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.description import RunDescription
from deepfake_seq.sequence.runs.history import Histories, read_histories
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.sequence.splits.overlap import KINDS, classify_overlap
from deepfake_seq.store import FeatureStore, Fingerprint
from deepfake_seq.store.record_ids import person_of
from deepfake_seq.store.records.record import EVIDENCE_FACT
from deepfake_seq.untrusted import damaged, read_file

REPORT = "report.html"
CARD = "README.md"

_MAX_MISTAKES = 6
_MAX_BYTES = 1 << 26


def evaluate(
    run_folder: Path, store: FeatureStore, *, videos: Path | None = None, out: Path | None = None
) -> tuple[Path, Evaluation]:
    """Evaluate a run on the clips of a store, and write `metrics.json` and `report.html`.

    The scores of validation clips are read from the run: the calibration and the threshold were
    chosen with them, and if several networks are averaged, each validation clip was scored by the
    network that was not trained on it.

    Args:
        run_folder: Path of the run directory.
        store: Feature store with the same fingerprint as the run.
        videos: Folder that the clips' names are relative to; if given, the report shows frames of
            the most confident mistakes.
        out: Folder to write to. By default the run directory if the store contains all its test
            clips, else a folder in its `evaluations/`.

    Returns:
        The folder that was written to, and the contents of the report.

    Raises:
        RunError: The run cannot be read, its features differ from the store's, or the store has no
            clips to evaluate it on.
        UsageError: `out` is another run, or it is this run but the store lacks some test clips.
        DatasetError: The store has no labelled clip that shows enough of the face.
        StoreError: A record is damaged.
    """
    description = run.describe(run_folder)
    model = run.load(run_folder)
    require_same_features(run_folder, model, store.path, store.fingerprint)
    split = split_file.read_split(run_folder)
    stored = predictions.read(run_folder / predictions.NAME)
    data = load(store, views=False, evidence=tuple(model.blocks))
    _require_same_evidence(run_folder, model, data)
    kinds = np.array(classify_overlap(data.clips, split), dtype=object)
    complete = _has_all_test_clips(data, kinds, split)
    folder = _output_folder(run_folder, store, out, complete)
    evaluated = _predict(model, data, kinds, stored)
    if not evaluated:
        raise RunError(
            f"{store.path} has no clips to evaluate {run_folder} on: each was used in training, or "
            "shares a person or source with training clips"
        )
    metrics = {
        **(run.read_metrics(run_folder) if complete else {"baselines": {}}),
        "store": store.path.resolve().name,
        "clips": _counts(data, kinds),
        "excluded": dict(data.excluded),
        **{name: _metrics(evaluated.get(name), model) for name in ("validation", "test", "unseen")},
        "methods": {
            name: breakdown.by_method(clips, model.decision.threshold)
            for name, clips in evaluated.items()
        },
    }
    page = f"{robustness.FOLDER}/{robustness.PAGE}"
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
        predictions=evaluated,
        mistakes=list(_mistakes(evaluated, model, store, videos)),
        frames_requested=videos is not None,
        stress_page=page if (folder / page).is_file() else "",
    )
    _write(folder, evaluation)
    return folder, evaluation


def require_same_features(
    run_folder: Path, model: SequenceModel, store: Path, fingerprint: Fingerprint
) -> None:
    """Refuse a store of other features than those that a run was trained on.

    Raises:
        RunError: The features differ; the message says how.
    """
    differences = model.fingerprint.incompatibilities(fingerprint)
    if differences:
        raise RunError(
            f"{run_folder} was trained on other features than those in {store}; these differ: "
            f"{'; '.join(differences)}"
        )


def _require_same_evidence(run_folder: Path, model: SequenceModel, data: SequenceData) -> None:
    stored: Any = data.clips[0].facts.get(EVIDENCE_FACT, {})  # all clips have the same
    here = {name: stored[name] for name in model.blocks if name in stored}
    differences = Fingerprint(model.evidence).differences(Fingerprint(here))
    if differences:
        raise RunError(
            f"{run_folder} was trained on evidence blocks with other settings; these differ: "
            f"{'; '.join(differences)}"
        )


def _has_all_test_clips(
    data: SequenceData, kinds: npt.NDArray[Any], split: split_file.Split
) -> bool:
    """Return whether the store has all test clips of the run, or all validation clips if none."""
    needed = split.get("test") or split.get("validation") or {}
    evaluable = [kind not in ("related", "copy") for kind in kinds]
    keys = {clip.key for clip, usable in zip(data.clips, evaluable, strict=True) if usable}
    needed_keys = {clip_key(name, clip.sha256) for name, clip in needed.items()}
    return bool(needed) and needed_keys <= keys


def _output_folder(run_folder: Path, store: FeatureStore, out: Path | None, complete: bool) -> Path:
    """Return the folder to write to.

    Raises:
        RunError: The default folder is reached by a link.
        UsageError: `out` is another run, or it is this run but the store lacks some test clips.
    """
    if out is None and complete:
        return run_folder
    if out is None:
        out = run_folder / "evaluations" / store.path.resolve().name
        if any(folder.is_symlink() for folder in (out, out.parent)):
            raise RunError(f"{out} is reached by a link. Give --out, or remove the link.")
    is_run_folder = out.resolve() == run_folder.resolve()
    if is_run_folder and not complete:
        raise UsageError(f"{store.path} lacks test clips of {run_folder}. Give another --out.")
    if not is_run_folder and os.path.lexists(out / run.DESCRIPTION):
        raise UsageError(
            f"{out} is another run, whose metrics would be overwritten. Give another --out."
        )
    return out


def _predict(
    model: SequenceModel, data: SequenceData, kinds: npt.NDArray[Any], stored: Predictions
) -> dict[str, Predictions]:
    """Score the clips of the store that the run can be evaluated on; empty splits are left out."""
    keys = {clip.key for clip in data.clips}
    validation = stored.of_split("validation")
    present = np.array([key in keys for key in validation.keys], dtype=np.bool_)
    splits = {"validation": validation.take(np.flatnonzero(present))}
    for name in ("test", "unseen"):
        clips = data.take(np.flatnonzero(kinds == name))
        splits[name] = Predictions.of(name, clips.clips_with_duplicates, model.scores(clips))
    return {name: split for name, split in splits.items() if len(split)}


def _metrics(evaluated: Predictions | None, model: SequenceModel) -> dict[str, Any] | None:
    if evaluated is None:
        return None
    decision = model.decision
    return at_threshold(
        evaluated.labels,
        evaluated.scores,
        decision.threshold,
        band=decision.band,
        groups=evaluated.groups,
    )


def _counts(data: SequenceData, kinds: npt.NDArray[Any]) -> dict[str, dict[str, int]]:
    return {kind: data.take(np.flatnonzero(kinds == kind)).counts for kind in KINDS}


def _histories(folder: Path, description: RunDescription) -> Histories:
    """Read the training history of each network.

    Raises:
        RunError: The number of histories does not match the number of networks.
    """
    histories = read_histories(folder)
    epochs, members = len(description.training.best_epochs), description.members
    if epochs != members or len(histories) not in (0, members):
        raise damaged(
            folder,
            f"{members} networks have {epochs} best epochs and {len(histories)} training histories",
        )
    return histories


def _warnings(data: SequenceData, kinds: npt.NDArray[Any]) -> list[str]:
    """List the limits of the metrics that follow from the roles of the store's clips."""
    warnings = []
    related, copies, unseen = (int((kinds == kind).sum()) for kind in ("related", "copy", "unseen"))
    if related:
        warnings.append(
            "Not evaluated: clips that share a person or source with clips that the run or its CNN "
            f"was trained on ({related})."
        )
    if copies:
        warnings.append(f"Not evaluated: duplicates of clips of the run ({copies}).")
    if not unseen:
        return warnings
    nameless = sum(not data.clips[at].groups for at in np.flatnonzero(kinds == "unseen"))
    if nameless:
        warnings.append(
            f"Unseen clips without an identity group (column `group` in --labels): {nameless}. If "
            "the run was trained on the same people, the metrics are too optimistic."
        )
    return warnings


def _mistakes(
    evaluated: dict[str, Predictions],
    model: SequenceModel,
    store: FeatureStore,
    videos: Path | None,
) -> Iterator[Mistake]:
    """Yield the most confident mistakes on the test clips, or on unseen clips if there are none."""
    clips = evaluated.get("test") or evaluated.get("unseen")
    if clips is None:
        return
    worst = breakdown.most_confident_mistakes(clips, model.decision.threshold, _MAX_MISTAKES)
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
    # The names in a store are untrusted input.
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(videos)):
        raise VideoError("rejected", "its name points outside the folder given with --videos")
    cells = contact_sheet.cells_of(path, store[video_id], decoders)
    return contact_sheet.picture([cells], "", config, "jpeg")


def _write(folder: Path, evaluation: Evaluation) -> None:
    page = render(evaluation).encode()
    try:
        atomic.write_json(folder / run.METRICS, evaluation.metrics)
        atomic.write_bytes(folder / REPORT, page)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
