"""How the clips of a store overlap with the training of a run, or of the CNN of their features."""

from __future__ import annotations

from collections.abc import Sequence

from deepfake_seq.datasets.finetune_overlap import NEVER_TESTED, OVERLAPS, TRAINED_ON
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.clip import Clip, clip_key
from deepfake_seq.sequence.splits.split_file import Split
from deepfake_seq.store.record_ids import CNN_SPLIT_FACT

KINDS = ("train", "validation", "test", "dropped", "copy", "related", "unseen")
"""How a clip overlaps with a run: it is in one of the run's splits; a `copy`, under another name,
of a clip that is also in the store; `related` to the training clips; or `unseen`."""


def classify_overlap(clips: Sequence[Clip], split: Split) -> list[str]:
    """Return the overlap of each clip with a run; one of `KINDS`.

    A clip belongs to the run if one of the run's clips has the same content, under any name. It is
    related if it

    - has the name of a training clip but another content: perhaps another cut or encoding,
    - shares a person or a source with the training or validation clips,
    - shows another person of one of their videos,
    - or would be a test clip although the CNN of its features was trained on it.

    Args:
        clips: Clips of a store.
        split: Clips of the run, by split.
    """
    kinds = _by_identity(clips, split)
    trained_on = [clip for name in TRAINED_ON for clip in split.get(name, {}).values()]
    seen_groups = {group for clip in trained_on for group in clip.groups}
    seen_videos = {clip.sha256 for clip in trained_on} - {""}
    for clip, kind in zip(clips, kinds, strict=True):
        if kind in TRAINED_ON:
            seen_groups.update(clip.groups)
    for position, (clip, cnn_overlap) in enumerate(zip(clips, cnn_overlaps(clips), strict=True)):
        related = not seen_groups.isdisjoint(clip.groups) or clip.sha256 in seen_videos
        kind = kinds[position] or ("related" if related else "unseen")
        if kind in ("test", "unseen") and cnn_overlap in NEVER_TESTED:
            kind = "related"
        kinds[position] = kind
    return kinds


def cnn_overlaps(clips: Sequence[Clip]) -> list[str]:
    """Return the overlap of each clip with the training of the CNN of its features.

    The result is one of `OVERLAPS`, or "" for all clips if none has the fact. Facts are untrusted
    input: an invalid one counts as `related`, and so does a missing one if other clips have it.
    """
    if not any(CNN_SPLIT_FACT in clip.facts for clip in clips):
        return [""] * len(clips)
    facts = [clip.facts.get(CNN_SPLIT_FACT) for clip in clips]
    return [fact if isinstance(fact, str) and fact in OVERLAPS else "related" for fact in facts]


def needs_cnn_split(clips: Sequence[Clip]) -> bool:
    """Return whether a finetuned CNN was trained on some of the clips or on people in them."""
    return any(overlap in NEVER_TESTED for overlap in cnn_overlaps(clips))


def require_free_split(clips: Sequence[Clip]) -> None:
    """Refuse a new split of clips that a finetuned CNN was trained on.

    Raises:
        DatasetError: The clips need the split of the CNN's run.
    """
    count = sum(overlap in NEVER_TESTED for overlap in cnn_overlaps(clips))
    if count:
        raise DatasetError(
            f"the CNN of these features was finetuned on {count} of the clips, or on people in "
            "them, and a new split would test on some of these. Leave out --split group, --folds "
            "and --members; the split of the CNN's run is then used."
        )


def _by_identity(clips: Sequence[Clip], split: Split) -> list[str]:
    """Return the kind of each clip by its name and content, or ""."""
    contents: dict[str, str] = {}
    for split_name in KINDS:  # training first: a clip in several splits counts as a training clip
        for video_id, known in split.get(split_name, {}).items():
            if known.sha256:
                contents.setdefault(clip_key(video_id, known.sha256), split_name)
    kinds = [_by_name(clip, split) for clip in clips]
    in_store = {
        clip.key for clip, kind in zip(clips, kinds, strict=True) if kind not in ("", "related")
    }
    for position, clip in enumerate(clips):
        if kinds[position] in ("", "related") and clip.key in contents:
            kinds[position] = "copy" if clip.key in in_store else contents[clip.key]
            in_store.add(clip.key)
    return kinds


def _by_name(clip: Clip, split: Split) -> str:
    for split_name in KINDS:
        known = split.get(split_name, {}).get(clip.video_id)
        if known is not None:
            if not known.sha256 or not clip.sha256 or known.sha256 == clip.sha256:
                return split_name
            if split_name in TRAINED_ON:
                return "related"
    return ""
