"""The CNN of a fine-tuned run for use elsewhere, and the clips that it must not be judged on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.leakage import TRAINED_ON, FinetuneOverlap
from deepfake_seq.errors import RunError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.sequence.data.dataset import clip_key
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.store.record_ids import person_of


class FinetunedCnn(NamedTuple):
    """A CNN that was fine-tuned.

    Attributes:
        backbone: Which one.
        weights: Its weights file.
        clips: What it was made with.
    """

    backbone: str
    weights: Path
    clips: FinetuneOverlap


def finetuned_cnn(folder: Path) -> FinetunedCnn:
    """The CNN of the fine-tuned run in `folder`.

    Raises:
        RunError: There is no run, or it has no CNN of its own.
    """
    model = run.load(folder)
    backbone = model.extract_config.backbone
    if backbone.weights != finetuned_weights.FILE_NAME:
        raise RunError(
            f"{folder} has no CNN of its own: it was not made by `deepseq finetune`. Give the "
            "folder of a run that was, or a weights file, to --weights."
        )
    try:
        digest = str(model.fingerprint.fields["backbone"]["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder} is damaged: its fingerprint lacks the backbone") from error
    weights = finetuned_weights.in_run(folder, digest)
    if weights is None:
        raise RunError(
            f"{folder} is damaged: {finetuned_weights.FILE_NAME} is missing, or another one"
        )
    return FinetunedCnn(backbone.name, weights.absolute(), clips_of(split_file.read_split(folder)))


def clips_of(split: split_file.Split) -> FinetuneOverlap:
    """The clips of a run by which a CNN was made, as `extract` is told them."""
    contents: dict[str, str] = {}
    for part in (*TRAINED_ON, "test"):  # what is in training stays in training
        for video_id, clip in split.get(part, {}).items():
            if clip.sha256:
                contents.setdefault(clip_key(video_id, clip.sha256), part)
    videos: set[str] = set()
    groups: set[str] = set()
    for part in TRAINED_ON:
        for video_id, clip in split.get(part, {}).items():
            videos |= {video_id.removesuffix(person_of(video_id)), clip.sha256} - {""}
            groups.update(clip.groups)
    return FinetuneOverlap(contents, frozenset(videos), frozenset(groups))
