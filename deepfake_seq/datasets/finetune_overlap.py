"""How clips overlap with the training of a finetuned CNN.

Such a CNN has seen labels, so clips that it was trained on are never test clips of a model that
uses its features. Both stages need this: extraction notes the overlap of each clip in its record,
and training keeps such clips out of the test split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TRAINED_ON = ("train", "validation")
"""Splits that a model was trained or selected on."""

NEVER_TESTED = (*TRAINED_ON, "related")
"""Overlaps that rule out a clip as a test clip; it may be used for training and validation."""

OVERLAPS = (*NEVER_TESTED, "test", "unseen")
"""The split of the CNN's run that has the clip; or `related` to its training; or `unseen`."""


@dataclass(frozen=True)
class FinetuneOverlap:
    """The clips of the run that finetuned a CNN.

    Attributes:
        contents: Split of each clip, by the SHA-256 of its video followed by its person (`#0` …).
        videos: SHA-256s and names of the videos that the CNN was trained or selected on, whichever
            person in them was used.
        groups: Identities and source videos that the CNN was trained or selected on.
    """

    contents: Mapping[str, str]
    videos: frozenset[str]
    groups: frozenset[str]

    def overlap_of(self, video: str, person: str, sha256: str, groups: tuple[str, ...]) -> str:
        """Return the overlap of a clip with the training of the CNN; one of `OVERLAPS`.

        A clip is `related` if it shares a person or a source with the training clips, shows another
        person of a training video, or has only the name of a training video: it may be another cut
        or encoding of it.

        Args:
            video: `video_id` of the video.
            person: Person in the video (`#0` …), or "".
            sha256: SHA-256 of the video file in hex.
            groups: Identities and source videos in the clip.
        """
        split = self.contents.get(f"{sha256}{person}")
        if split in (*TRAINED_ON, "test"):
            return split
        same_video = not self.videos.isdisjoint((sha256, video))
        return "related" if same_video or self.groups.intersection(groups) else "unseen"
