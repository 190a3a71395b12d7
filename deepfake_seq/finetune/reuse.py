"""Reuse the CNN of a finetuned run for extraction, with the clips that it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.finetune_overlap import TRAINED_ON, FinetuneOverlap
from deepfake_seq.errors import RunError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.sequence.data.dataset import clip_key
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.store.record_ids import person_of


class FinetunedCnn(NamedTuple):
    """A finetuned CNN.

    Attributes:
        backbone: Name of the CNN.
        weights: Path of its weights file.
        clips: Clips that it was trained, validated and tested on.
    """

    backbone: str
    weights: Path
    clips: FinetuneOverlap


def finetuned_cnn(folder: Path) -> FinetunedCnn:
    """Return the CNN of the finetuned run in `folder`.

    Raises:
        RunError: There is no run, it has no finetuned CNN, or it is damaged.
    """
    model = run.load(folder)
    backbone = model.extract_config.backbone
    if backbone.weights != finetuned_weights.FILE_NAME:
        raise RunError(
            f"{folder} has no CNN, because it was not created by `deepseq finetune`. Give "
            "--weights a finetuned run or a weights file."
        )
    try:
        digest = str(model.fingerprint.fields["backbone"]["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder} is damaged: its fingerprint lacks the backbone") from error
    weights = finetuned_weights.in_run(folder, digest)
    if weights is None:
        raise RunError(
            f"{folder} is damaged: {finetuned_weights.FILE_NAME} is missing or was altered"
        )
    return FinetunedCnn(backbone.name, weights.absolute(), clips_of(split_file.read_split(folder)))


def clips_of(split: split_file.Split) -> FinetuneOverlap:
    """Return the clips of a CNN's run in the form that `extract` records."""
    contents: dict[str, str] = {}
    for split_name in (*TRAINED_ON, "test"):  # the first split of a clip counts
        for video_id, clip in split.get(split_name, {}).items():
            if clip.sha256:
                contents.setdefault(clip_key(video_id, clip.sha256), split_name)
    videos: set[str] = set()
    groups: set[str] = set()
    for split_name in TRAINED_ON:
        for video_id, clip in split.get(split_name, {}).items():
            videos |= {video_id.removesuffix(person_of(video_id)), clip.sha256} - {""}
            groups.update(clip.groups)
    return FinetuneOverlap(contents, frozenset(videos), frozenset(groups))
