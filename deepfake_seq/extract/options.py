"""Options of extraction beyond the features: face cache, views, overlap with finetuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config import ViewsConfig
from deepfake_seq.store import SourceFile
from deepfake_seq.store.record_ids import person_of


@dataclass(frozen=True)
class FinetuneOverlap:
    """The clips that a finetuned CNN was trained, validated and tested on.

    Attributes:
        contents: Split of each clip (`train`, `validation` or `test`), by the SHA-256 of its video
            followed by its person (`#0` … or "").
        videos: SHA-256s and ids of the videos in the training and validation splits, whichever
            person was used.
        groups: Groups (identities and source videos) in the training and validation splits.
    """

    contents: Mapping[str, str]
    videos: frozenset[str]
    groups: frozenset[str]

    def classify(self, video_id: str, sha256: str, groups: tuple[str, ...]) -> str:
        """Return how the CNN knows a clip: `train`, `validation`, `test`, `related` or `unseen`.

        A clip is `related` if it shares a group with a training or validation clip, shows another
        person of the same video, or has the id of such a video and so may be another version of it.
        """
        person = person_of(video_id)
        split = self.contents.get(f"{sha256}{person}")
        if split in ("train", "validation", "test"):
            return split
        same_video = {sha256, video_id.removesuffix(person)} & self.videos
        return "related" if same_video or self.groups.intersection(groups) else "unseen"


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
        return {"cnn_part": self.cnn_clips.classify(clip_id, source.sha256, groups)}


NO_OPTIONS = ExtractOptions()
