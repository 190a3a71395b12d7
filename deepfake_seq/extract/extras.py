"""What a run keeps and makes beside the features of the videos, none of which it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config import ViewsConfig
from deepfake_seq.extract.names import person_of


@dataclass(frozen=True)
class CnnClips:
    """The clips that a fine-tuned CNN was made with.

    Attributes:
        contents: The part that each stood in, by its video's SHA-256 and its person (`#0` …).
        names: The part that each stood in, by its name.
        groups: Identities and source videos that the CNN was trained on, or picked by.
    """

    contents: Mapping[str, str]
    names: Mapping[str, str]
    groups: frozenset[str]

    def part_of(self, video_id: str, sha256: str, groups: tuple[str, ...]) -> str:
        """How the CNN knows a clip: `train`, `validation`, `test`, `related` or `unseen`.

        Related is what shows somebody, or comes from a source, that the CNN was trained on; and
        what only bears the name of a training clip, and so may be another cut of it.
        """
        part = self.contents.get(f"{sha256}{person_of(video_id)}")
        if part in ("train", "validation", "test"):
            return part
        if self.groups.intersection(groups) or self.names.get(video_id) in ("train", "validation"):
            return "related"
        return "unseen"


@dataclass(frozen=True)
class Extras:
    """What is kept, made and told beside the features.

    Attributes:
        keep_faces: Whether the crops go into a face cache.
        views: Further records of a clip, for training only.
        cnn_clips: What a fine-tuned CNN was made with; None for any other.
    """

    keep_faces: bool = False
    views: ViewsConfig = field(default_factory=ViewsConfig)
    cnn_clips: CnnClips | None = None

    def facts_of(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """What a record is told beyond what was seen.

        Args:
            known: The fields of a record that are no arrays.
        """
        if self.cnn_clips is None:
            return {}
        source = known["source"].sha256
        return {"cnn_part": self.cnn_clips.part_of(known["video_id"], source, known["groups"])}


NO_EXTRAS = Extras()
