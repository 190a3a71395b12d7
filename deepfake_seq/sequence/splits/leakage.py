"""Which clips of a store a run has met before."""

from __future__ import annotations

from collections.abc import Sequence

from deepfake_seq.sequence.data.dataset import Clip, clip_key
from deepfake_seq.sequence.splits.finetuned import BOUND, parts_of
from deepfake_seq.sequence.splits.split_file import Split

KINDS = ("train", "validation", "test", "dropped", "copy", "related", "unseen")
"""How a run may know a clip: by the part that it stood in; as a `copy` of a clip that is here under
the run's own name for it; as `related` to what it was trained on; or not at all."""

TRAINED_ON = ("train", "validation")


def classify_overlap(clips: Sequence[Clip], split: Split) -> list[str]:
    """The kind of each clip.

    A clip is one of the run's if it has the content of one, under whatever name. A clip that has
    only the name of a training clip is another cut or coding of it, perhaps: related. So is one
    that shares a person or a source with the training or validation clips, or shows somebody else
    in one of their videos; and one that the run would judge although a fine-tuned CNN, which made
    the features, knows it from its own training.

    Args:
        clips: With the names, contents and groups of this store.
        split: The run's clips.
    """
    kinds = _by_identity(clips, split)
    trained_on = [known for part in TRAINED_ON for known in split.get(part, {}).values()]
    seen = {group for known in trained_on for group in known.groups}
    videos = {known.sha256 for known in trained_on} - {""}  # whoever was seen in them
    for clip, kind in zip(clips, kinds, strict=True):
        if kind in TRAINED_ON:
            seen.update(clip.groups)
    near = [bool(seen.intersection(clip.groups)) or clip.sha256 in videos for clip in clips]
    sorted_out = [
        kind or ("related" if related else "unseen")
        for related, kind in zip(near, kinds, strict=True)
    ]
    return [
        "related" if kind in ("test", "unseen") and part in BOUND else kind
        for kind, part in zip(sorted_out, parts_of(clips), strict=True)
    ]


def _by_identity(clips: Sequence[Clip], split: Split) -> list[str]:
    """The kind of each clip as far as its name and its content tell it; "" otherwise."""
    contents: dict[str, str] = {}
    for part in KINDS:  # what is in training stays in training, whatever else it is in
        for name, known in split.get(part, {}).items():
            if known.sha256:
                contents.setdefault(clip_key(name, known.sha256), part)
    kinds = [_by_name(clip, split) for clip in clips]
    named = zip(clips, kinds, strict=True)
    here = {clip.key for clip, kind in named if kind not in ("", "related")}
    for position, clip in enumerate(clips):
        if kinds[position] in ("", "related") and clip.key in contents:
            kinds[position] = "copy" if clip.key in here else contents[clip.key]
            here.add(clip.key)
    return kinds


def _by_name(clip: Clip, split: Split) -> str:
    for part in KINDS:
        known = split.get(part, {}).get(clip.video_id)
        if known is not None:
            if not known.sha256 or not clip.sha256 or known.sha256 == clip.sha256:
                return part
            if part in TRAINED_ON:
                return "related"
    return ""
