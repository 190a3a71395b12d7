"""What a run keeps and makes beside the features of the videos, none of which it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config import ViewsConfig
from deepfake_seq.store.record_ids import person_of


@dataclass(frozen=True)
class FinetuneOverlap:
    """The clips that a fine-tuned CNN was made with.

    Attributes:
        contents: The part that each stood in, by its video's SHA-256 and its person (`#0` …).
        videos: The SHA-256s, and the names, of videos that the CNN was trained on, or picked by,
            whoever it was that it saw in them.
        groups: Identities and source videos that the CNN was trained on, or picked by.
    """

    contents: Mapping[str, str]
    videos: frozenset[str]
    groups: frozenset[str]

    def part_of(self, video_id: str, sha256: str, groups: tuple[str, ...]) -> str:
        """How the CNN knows a clip: `train`, `validation`, `test`, `related` or `unseen`.

        Related is what shows somebody, or comes from a source, that the CNN was trained on; who
        else is in a training video; and what only bears the name of one, and so may be another cut
        of it.
        """
        person = person_of(video_id)
        part = self.contents.get(f"{sha256}{person}")
        if part in ("train", "validation", "test"):
            return part
        known = {sha256, video_id.removesuffix(person)} & self.videos
        return "related" if known or self.groups.intersection(groups) else "unseen"


@dataclass(frozen=True)
class ExtractOptions:
    """What is kept, made and told beside the features.

    Attributes:
        keep_faces: Whether the crops go into a face cache.
        views: Further records of a clip, for training only.
        cnn_clips: What a fine-tuned CNN was made with; None for any other.
    """

    keep_faces: bool = False
    views: ViewsConfig = field(default_factory=ViewsConfig)
    cnn_clips: FinetuneOverlap | None = None

    def facts_of(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """What a record is told beyond what was seen.

        Args:
            known: The fields of a record that are no arrays. A view is told what its clip is.
        """
        if self.cnn_clips is None:
            return {}
        name = str(known["facts"].get("view", {}).get("of", known["video_id"]))
        return {"cnn_part": self.cnn_clips.part_of(name, known["source"].sha256, known["groups"])}


NO_OPTIONS = ExtractOptions()
