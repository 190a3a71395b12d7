"""Options of extraction beyond the features: face cache, views, overlap with finetuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config import ViewsConfig
from deepfake_seq.datasets.finetune_overlap import FinetuneOverlap
from deepfake_seq.store import SourceFile
from deepfake_seq.store.record_ids import CNN_SPLIT_FACT, VIEW_FACT, person_of


@dataclass(frozen=True)
class ExtractOptions:
    """Optional data to store in addition to the features.

    Attributes:
        keep_faces: Whether the crops are stored in a face cache.
        views: Views to make of each clip, for training only.
        cnn_clips: The clips that the CNN was finetuned on; None if it was not finetuned.
        evidence: Names of the evidence blocks to store beside `features`.
    """

    keep_faces: bool = False
    views: ViewsConfig = field(default_factory=ViewsConfig)
    cnn_clips: FinetuneOverlap | None = None
    evidence: tuple[str, ...] = ()

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
        clip_id = str(facts.get(VIEW_FACT, {}).get("of", video_id))
        person = person_of(clip_id)
        video = clip_id.removesuffix(person)
        return {CNN_SPLIT_FACT: self.cnn_clips.overlap_of(video, person, source.sha256, groups)}


NO_OPTIONS = ExtractOptions()
