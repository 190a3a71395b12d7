"""Classify clips and explain the verdicts: the shell around extraction, model and explanation."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from deepfake_seq import __version__
from deepfake_seq.config import ExecutionConfig, ExplainConfig, PredictConfig
from deepfake_seq.explain.capture import Captures
from deepfake_seq.explain.clip_report import ClipReport
from deepfake_seq.explain.explanation import Explainer
from deepfake_seq.explain.provenance import read_provenance
from deepfake_seq.explain.run_facts import read_run_facts
from deepfake_seq.predict import Predictor, SubmittedClip, WeightsOverride
from deepfake_seq.support import support_of

_PACKAGES = ("numpy", "av", "opencv-contrib-python-headless", "openvino", "keras")


@dataclass(frozen=True)
class ReportConfig:
    """What a report contains beside the verdict.

    Attributes:
        explain: What to explain.
        trust_list: PEM file with the root certificates of trusted C2PA signers.
        command: The command that makes the report, to be written into it.
    """

    explain: ExplainConfig = field(default_factory=ExplainConfig)
    trust_list: Path | None = None
    command: str = ""


class Reporter:
    """Classifies clips with a run and makes a report on each; a context manager.

    Args:
        run_folder: Path of the run directory.
        execution: Workers and other settings that do not change the features.
        override: Paths of weights files that have been moved.
        predict: Which people and which time of each clip to judge. If clips are divided into
            windows, the people in the most suspicious one are explained.
        config: What the reports contain.
        clips: Maximum number of clips, if known.
        on_stage: See `Predictor`.
        on_verdict: Called with each report before maps are added to it.

    Attributes:
        predictor: Classifies the clips.

    Raises:
        RunError: The run cannot be read, or other weights or versions would change its features.
        WeightsError: A weights file is missing.
    """

    def __init__(
        self,
        run_folder: Path,
        execution: ExecutionConfig,
        override: WeightsOverride,
        predict: PredictConfig,
        config: ReportConfig,
        *,
        clips: int | None = None,
        on_stage: Callable[[Path, str], None] = lambda path, stage: None,
        on_verdict: Callable[[ClipReport], None] = lambda report: None,
    ) -> None:
        self._config = config
        self._on_verdict = on_verdict
        self._run = read_run_facts(run_folder)
        self._captures = Captures()
        self.predictor = Predictor(
            run_folder,
            execution,
            override,
            predict,
            clips=clips,
            on_stage=on_stage,
            on_people=self._captures.add,
            on_part=self._keep_most_suspicious,
        )
        self._explainer = Explainer(
            self.predictor.model,
            self.predictor.resolved,
            self.predictor.extractor.blocks_of,
            config.explain,
        )
        self._started: dict[int, datetime] = {}
        self._deciding: dict[int, tuple[float, int]] = {}
        """Suspicion and negative position of the most suspicious part of each clip so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """See `Predictor.close`."""
        self.predictor.close()

    def reports(self, paths: Iterable[Path]) -> Iterator[tuple[int, ClipReport]]:
        """Make reports; yield the position of each clip and its report as soon as it is done."""
        for path in paths:
            self.submit(path)
            while not self.predictor.has_room:
                yield from self.finished()
        while self.predictor.is_busy:
            yield from self.finished()

    def submit(self, path: Path) -> int:
        """Start a report; return the number of the clip, counted from 0."""
        begin = datetime.now(UTC)
        number = self.predictor.submit(path)
        self._started[number] = begin
        return number

    def finished(self, seconds: float | None = None) -> Iterator[tuple[int, ClipReport]]:
        """Wait like `Predictor.finished`; yield number and report of the completed clips."""
        for clip in self.predictor.extracted(seconds):
            yield clip.number, self._report(clip)

    def _keep_most_suspicious(self, clip: SubmittedClip, part: int) -> None:
        """Forget what was captured of a window, or of the one that it surpasses."""
        if len(clip.parts) == 1:
            return
        found = (self.predictor.suspicion(clip, part), -part)
        before = self._deciding.get(clip.number)
        if before is None or found > before:
            self._deciding[clip.number] = found
        if before is not None:
            _, position = min(found, before)
            self._captures.take(clip.video_id(-position))

    def _report(self, clip: SubmittedClip) -> ClipReport:
        predictor = self.predictor
        _, position = self._deciding.pop(clip.number, (0.0, 0))
        part = -position
        verdict = predictor.verdict(clip)
        captured = self._captures.take(clip.video_id(part))
        records = clip.records[part]
        explanation = self._explainer.explain(verdict, records, captured, clip.parts[part])
        supports = [
            None
            if person.log_odds is None
            else support_of(
                person.verdict.verdict, person.log_odds, verdict.decision, person.verdict.matched
            )
            for person in explanation.people
        ]
        deciding = [
            one for one, person in zip(supports, verdict.people, strict=True)
            if one is not None and person.score == verdict.score
        ]  # fmt: skip
        report = ClipReport(
            verdict=verdict,
            support=deciding[0] if deciding else None,
            people_support=tuple(supports),
            explanation=explanation,
            file=predictor.decoders.file_facts(clip.path),
            provenance=read_provenance(clip.path, predictor.decoders, self._config.trust_list),
            run=self._run,
            versions=versions(),
            command=self._config.command,
            started=_seconds(self._started.pop(clip.number)),
            finished=_seconds(datetime.now(UTC)),
        )
        self._on_verdict(report)
        return replace(
            report,
            explanation=self._explainer.with_maps(explanation, records, captured),
            finished=_seconds(datetime.now(UTC)),
        )


def versions() -> dict[str, str]:
    """Return the versions of the programs and libraries that a verdict depends on."""
    found = {"deepseq": __version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"system": f"{platform.system()} {platform.machine()}"}


def _seconds(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
