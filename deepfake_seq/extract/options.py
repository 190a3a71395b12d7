"""Options of extraction beyond the features: face cache, views, overlap with finetuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config import ViewsConfig
from deepfake_seq.datasets.leakage import CNN_FACT, FinetuneOverlap
from deepfake_seq.store import SourceFile
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
    """What is stored in addition to the features.

    Attributes:
        keep_faces: Whether the crops are stored in a face cache.
        views: Views to make of each clip, for training only.
        cnn_clips: The clips that the CNN was finetuned on; None if it was not finetuned.
    """

    keep_faces: bool = False
    views: ViewsConfig = field(default_factory=ViewsConfig)
    cnn_clips: FinetuneOverlap | None = None

    def facts_of(
        self, video_id: str, source: SourceFile, groups: tuple[str, ...], facts: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return the facts that a record gets because of these options.

        Args:
            video_id: Id of the record.
            source: The video file.
            groups: Groups of the clip.
            facts: Facts of the record; a view gets the same facts as its clip.
        """
        if self.cnn_clips is None:
            return {}
        clip_id = str(facts.get("view", {}).get("of", video_id))
        person = person_of(clip_id)
        video = clip_id.removesuffix(person)
        return {CNN_FACT: self.cnn_clips.overlap_of(video, person, source.sha256, groups)}


NO_OPTIONS = ExtractOptions()
