"""Classify clips and explain the verdicts: the shell around extraction, model and explanation."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from deepfake_seq import __version__
from deepfake_seq.config import ExecutionConfig, ExplainConfig, PredictConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.explain.capture import Captures
from deepfake_seq.explain.clip_report import ClipReport
from deepfake_seq.explain.explanation import Explainer
from deepfake_seq.explain.provenance import read_provenance
from deepfake_seq.explain.run_facts import read_run_facts
from deepfake_seq.explain.support import support_of
from deepfake_seq.predict import Predictor, SubmittedClip, WeightsOverride

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
        predict: Which people and which time of each clip to judge; clips are not divided into
            windows.
        config: What the reports contain.
        clips: Maximum number of clips, if known.
        on_stage: See `Predictor`.

    Attributes:
        predictor: Classifies the clips. Where clips arrive one by one, `submit` them to it, and
            give those that it has `extracted` to `report`.

    Raises:
        RunError: The run cannot be read, or other weights or versions would change its features.
        WeightsError: A weights file is missing.
        UsageError: `predict` has windows.
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
    ) -> None:
        if predict.window_seconds is not None:
            raise UsageError(
                "a report is on a clip as a whole, or the part from --start to --end. Received: "
                f"windows of {predict.window_seconds:g} s"
            )
        self._config = config
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
        )
        self._explainer = Explainer(
            self.predictor.model,
            self.predictor.resolved,
            self.predictor.extractor.blocks_of,
            config.explain,
        )
        self._started: dict[int, datetime] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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

    def _report(self, clip: SubmittedClip) -> ClipReport:
        predictor = self.predictor
        records = clip.records[0]
        verdict = predictor.verdict(clip)
        explanation = self._explainer.explain(
            verdict, records, self._captures.take(clip.video_id())
        )
        support = partial(support_of, decision=verdict.decision)
        supports = [
            None
            if person.log_odds is None
            else support(person.verdict.verdict, log_odds=person.log_odds)
            for person in explanation.people
        ]
        deciding = [
            one for one, person in zip(supports, verdict.people, strict=True)
            if one is not None and person.score == verdict.score
        ]  # fmt: skip
        return ClipReport(
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
