"""Explain the verdict on a clip: per person, the frames, the parts of the face, and the noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ExplainConfig
from deepfake_seq.explain.capture import CapturedClip, Image, SampledFrame
from deepfake_seq.explain.occlusion import CROPS_PER_FRAME, log_odds, occlusion
from deepfake_seq.explain.timeline import frame_contributions
from deepfake_seq.extract.backbones.batching import Rows
from deepfake_seq.extract.evidence import FaceCrop
from deepfake_seq.extract.evidence.residual import residual_image
from deepfake_seq.extract.faces import image_codec, resize_square
from deepfake_seq.extract.faces.crop import square_around
from deepfake_seq.extract.faces.people import Person
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.sequence.data.features import joined
from deepfake_seq.sequence.region_contributions import block_contributions
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord
from deepfake_seq.verdict import ABSTENTION, PersonVerdict, Span, Verdict

MAX_MAPPED_PEOPLE = 2
"""Number of people, the most suspicious ones, whose faces are covered part by part."""

Contributions = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExplainedFrame:
    """A frame that shows the person.

    Attributes:
        index: Number of the frame in order of presentation.
        pts_seconds: Presentation time.
        crop_rgb: uint8 (S, S, 3); the input of the CNN.
        log_odds: What the frame contributes to the log-odds of fake; None without a score. See
            `timeline.FrameContributions`.
        score: Calibrated probability of fake of the frame alone; None unless the model judges each
            frame by itself.
    """

    index: int
    pts_seconds: float
    crop_rgb: Image
    log_odds: float | None = None
    score: float | None = None


@dataclass(frozen=True, eq=False)
class FaceMap:
    """Which parts of the face in one frame contribute to the score.

    Attributes:
        row: Position of the frame in `PersonExplanation.frames`.
        log_odds: float64 (CELLS, CELLS); what each square contributes to the log-odds of fake.
        residual_rgb: uint8 (S, S, 3); the noise residuals of the crop, one channel per filter.
    """

    row: int
    log_odds: Contributions
    residual_rgb: Image


@dataclass(frozen=True, eq=False)
class PersonExplanation:
    """The explanation of the verdict on one person.

    Attributes:
        verdict: The verdict.
        log_odds: Calibrated log-odds of fake; None if the person has no score.
        is_exact: Whether the model judges each frame by itself and takes the mean.
        frames: The frames that show the person, in order of presentation.
        place: A sampled frame that shows the person, and the box of the face in it, as fractions of
            its width and height; None if only other frames show the person.
        blocks: What each face region contributes to the log-odds of fake, by the evidence block
            that describes it; only blocks that the run uses and that have regions.
        regions: What each face region contributes to the log-odds of fake, together in the frames
            of `maps`; empty without maps.
        maps: Maps of the frames that speak most for fake.
    """

    verdict: PersonVerdict
    log_odds: float | None
    is_exact: bool
    frames: tuple[ExplainedFrame, ...]
    place: tuple[SampledFrame, tuple[float, float, float, float]] | None
    blocks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    regions: Mapping[str, float] = field(default_factory=dict)
    maps: tuple[FaceMap, ...] = ()


@dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of the verdict on one clip.

    Attributes:
        people: The people in `Verdict.people`, in the same order.
        duration_seconds: Duration of the clip; 0 if unknown.
        span: Start and end in seconds of the part of the clip that was classified.
        shot_seconds: Presentation time of the first sampled frame of each shot but the first.
        map_crops: Number of crops that went through the CNN for the maps.
        map_seconds: Time that the maps took.
        without_maps: Why there are no maps; "" if there are some.
    """

    people: tuple[PersonExplanation, ...]
    duration_seconds: float
    span: Span
    shot_seconds: tuple[float, ...]
    map_crops: int = 0
    map_seconds: float = 0.0
    without_maps: str = ""


@dataclass(frozen=True, eq=False)
class Explainer:
    """Explains the verdicts of a run.

    Attributes:
        model: Model of the run.
        resolved: Extraction settings of the run.
        blocks_of: Runs the CNN of the run; see `Extractor.blocks_of`.
        config: What to explain.
    """

    model: SequenceModel
    resolved: ResolvedConfig
    blocks_of: Callable[[Iterable[FaceCrop]], Mapping[str, Rows]]
    config: ExplainConfig

    def explain(
        self,
        verdict: Verdict,
        records: Sequence[FeatureRecord],
        clip: CapturedClip,
        span: Span | None = None,
    ) -> Explanation:
        """Explain the verdict on a clip, without maps.

        Args:
            verdict: The verdict.
            records: The records that decided it, one per person: of the clip, or of the most
                suspicious window.
            clip: What was kept of the clip or of that window.
            span: Start and end of that window; None if the whole clip was classified.
        """
        shown = _shown(records, clip)
        people = [
            self._person(judged, record, person, clip)
            for judged, (record, person) in zip(verdict.people, shown, strict=True)
        ]
        return Explanation(
            people=tuple(people),
            duration_seconds=clip.duration_seconds,
            span=span or (0.0, clip.duration_seconds),
            shot_seconds=tuple(clip.frames[at].pts_seconds for at in clip.shot_starts),
        )

    def with_maps(
        self, explanation: Explanation, records: Sequence[FeatureRecord], clip: CapturedClip
    ) -> Explanation:
        """Return an explanation with maps of the most suspicious people, if any are requested.

        Args:
            explanation: The result of `explain`.
            records: See `explain`.
            clip: See `explain`.
        """
        people, started = list(explanation.people), time.monotonic()
        if without_maps := self._without_maps(people):
            return replace(explanation, without_maps=without_maps)
        shown = _shown(records, clip)
        scored = [at for at, person in enumerate(people) if person.log_odds is not None]
        mapped = sorted(scored, key=lambda at: -(people[at].log_odds or 0.0))[:MAX_MAPPED_PEOPLE]
        self._add_maps({at: shown[at] for at in mapped}, people)
        return replace(
            explanation,
            people=tuple(people),
            map_crops=CROPS_PER_FRAME * sum(len(people[at].maps) for at in mapped),
            map_seconds=time.monotonic() - started,
        )

    def _without_maps(self, people: Sequence[PersonExplanation]) -> str:
        """Return the reason why no maps are made, or ""."""
        if not self.config.maps:
            return "Maps were not requested."
        if all(person.log_odds is None for person in people):
            return "Nobody in the clip has a score."
        return ""

    def _person(
        self, judged: PersonVerdict, record: FeatureRecord, person: Person, clip: CapturedClip
    ) -> PersonExplanation:
        size = self.resolved.backbone.crop_size
        frames = [
            ExplainedFrame(int(index), float(seconds), resize_square(square, size))
            for index, seconds, square in zip(
                person.frame_index, person.pts_seconds, self._squares(person), strict=True
            )
        ]
        total, is_exact, blocks = None, False, dict[str, dict[str, float]]()
        if judged.cause in ("", ABSTENTION):
            arrays = self.model.arrays_of(record)
            total = float(log_odds(self.model, arrays)[0])
            contributions = frame_contributions(self.model, arrays)
            is_exact = contributions.is_exact
            for row, value in enumerate(contributions.log_odds.tolist()):
                score = None if contributions.scores is None else float(contributions.scores[row])
                frames[row] = replace(frames[row], log_odds=value, score=score)
            blocks = block_contributions(self.model, arrays)
        return PersonExplanation(
            judged, total, is_exact, tuple(frames), _place(person, clip), blocks
        )

    def _add_maps(
        self, shown: Mapping[int, tuple[FeatureRecord, Person]], people: list[PersonExplanation]
    ) -> None:
        """Add maps to some people: the crops of all of them go through the CNN together.

        Args:
            shown: Record and faces of each person to map, by the position in `people`.
            people: The people; changed in place.
        """
        faces = {at: self._telling_faces(people[at], person) for at, (_, person) in shown.items()}
        arrays = {at: self.model.arrays_of(record) for at, (record, _) in shown.items()}
        found = occlusion(self.model, [(arrays[at], faces[at]) for at in shown], self._features)
        size = self.resolved.backbone.crop_size
        for at, (maps, regions) in zip(shown, found, strict=True):
            pictures = tuple(
                FaceMap(row, maps[row], residual_image(face.square_rgb, size))
                for row, face in faces[at].items()
            )
            people[at] = replace(people[at], regions=regions, maps=pictures)

    def _telling_faces(self, explained: PersonExplanation, person: Person) -> dict[int, FaceCrop]:
        """Return the faces in the frames that speak most for fake, by row."""
        values = [frame.log_odds or 0.0 for frame in explained.frames]
        margin, squares = self.resolved.config.faces.margin, self._squares(person)
        faces = {}
        for row in sorted(np.argsort(values)[::-1][: self.config.maps].tolist()):
            width, height = person.frame_size[row].tolist()
            left, top, _ = square_around(person.faces[row].box_xyxy, margin, width, height)
            points = person.faces[row].landmarks
            if points is not None:
                points = points - np.array([left, top], dtype=np.float32)
            faces[row] = FaceCrop(squares[row], points)
        return faces

    def _features(self, faces: Iterable[FaceCrop]) -> npt.NDArray[np.float16]:
        """Return the features of crops as they would be stored."""
        blocks = self.blocks_of(faces)
        return joined(
            {name: block.astype(np.float16) for name, block in blocks.items()}, self.model.blocks
        )

    def _squares(self, person: Person) -> list[Image]:
        """Return the crops at native size as the CNN gets them, which may have been compressed."""
        config = self.resolved.config.faces
        if not config.is_lossy:
            return person.squares_rgb
        return image_codec.decode(image_codec.encode(person.squares_rgb, config.image_format))


def _shown(
    records: Sequence[FeatureRecord], clip: CapturedClip
) -> list[tuple[FeatureRecord, Person]]:
    """Return the people in `Verdict.people`, each with the record."""
    pairs = zip(records, clip.people, strict=True)
    return [(record, person) for record, person in pairs if record.frames_valid]


def _place(
    person: Person, clip: CapturedClip
) -> tuple[SampledFrame, tuple[float, float, float, float]] | None:
    """Return the first sampled frame that shows a person, with the face as fractions of it."""
    sampled = {frame.index: frame for frame in clip.frames}
    for index, face in zip(person.frame_index.tolist(), person.faces, strict=True):
        if index in sampled:
            width, height = sampled[index].size
            left, top, right, bottom = (float(value) for value in face.box_xyxy)
            return sampled[index], (left / width, top / height, right / width, bottom / height)
    return None
