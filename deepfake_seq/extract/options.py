"""What a run keeps and makes beside the features of the videos, none of which it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config import ViewsConfig
from deepfake_seq.datasets.leakage import CNN_FACT, FinetuneOverlap
from deepfake_seq.store.record_ids import person_of


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
        person = person_of(name)
        video, sha256 = name.removesuffix(person), known["source"].sha256
        return {CNN_FACT: self.cnn_clips.overlap_of(video, person, sha256, known["groups"])}


NO_OPTIONS = ExtractOptions()
