"""The process that classifies clips: it keeps models loaded, and may die without the server.

The server sends a `Task` for each clip, and receives a `TaskReport` when the clip enters a stage
and when it is done. The process ends when the server closes the connection, or has died.
"""

from __future__ import annotations

import json
import signal
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.config import ExecutionConfig, PredictConfig
from deepfake_seq.errors import DeepseqError
from deepfake_seq.explain.clip_report import ClipReport, document
from deepfake_seq.explain.page import render
from deepfake_seq.explain.reporter import ReportConfig, Reporter
from deepfake_seq.predict import WeightsOverride
from deepfake_seq.verdict import Verdict

_MAX_MODELS = 2
"""Number of runs whose models are kept loaded."""

_POLL_SECONDS = 0.05

_MAX_REPORT_BYTES = 1 << 24
"""Size above which a report is not kept; with default settings, a report has less than 1 MB."""


@dataclass(frozen=True)
class PredictorConfig:
    """How clips are classified.

    Attributes:
        execution: Workers and other settings that do not change the features.
        override: Paths of weights files that have been moved.
        predict: Which people and windows of each clip to judge.
        report: What the reports contain.
        load: Makes the reporter of a run; a function that can be pickled.
    """

    execution: ExecutionConfig
    override: WeightsOverride
    predict: PredictConfig
    report: ReportConfig = field(default_factory=ReportConfig)
    load: Callable[..., Reporter] = Reporter


class Task(NamedTuple):
    """A clip to classify, or a run to load in advance.

    Attributes:
        run: Path of the run directory.
        clip: Path of the clip; None to only load the run.
        name: Name of the clip in its report.
    """

    run: Path
    clip: Path | None = None
    name: str = ""


class StoredReport(NamedTuple):
    """A report on a clip as it is stored.

    Attributes:
        page: The HTML file.
        document: The JSON document, with pictures.
    """

    page: bytes
    document: bytes


class ClassifiedClip(NamedTuple):
    """What is known of a clip that is done.

    Attributes:
        verdict: The verdict; its path is the name of the clip.
        headline: The verdict and its strength in a few words.
        sentences: What the verdict means, and how far to trust it.
        report: The report; None if it is too large, or was not made.
    """

    verdict: Verdict
    headline: str
    sentences: tuple[str, ...]
    report: StoredReport | None = None


class TaskReport(NamedTuple):
    """What became of a task.

    Attributes:
        clip: Path of the clip; None for a task without one.
        stage: Stage that the clip has entered; "" if it is done.
        result: The result; without a report in the stage `explain`, None in those before.
        error: Why the run cannot be used; "" if it can.
    """

    clip: Path | None
    stage: str = ""
    result: ClassifiedClip | None = None
    error: str = ""


def work(connection: Connection, config: PredictorConfig) -> None:
    """Classify clips until the other end of the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles it
    with ExitStack() as stack:
        worker = _Worker(connection, config, stack)
        while worker.receive():
            worker.step()


class _Worker:
    def __init__(self, connection: Connection, config: PredictorConfig, stack: ExitStack) -> None:
        self._connection = connection
        self._config = config
        self._lock = threading.Lock()
        self._models: OrderedDict[Path, Reporter] = OrderedDict()  # the latest used one is last
        self._waiting: deque[Task] = deque()
        self._begun: dict[Path, Task] = {}  # by the path of the clip
        stack.callback(self._close)

    def receive(self) -> bool:
        """Take all tasks that have arrived; wait for one if idle. Return False at the end."""
        is_busy = any(model.predictor.is_busy for model in self._models.values())
        is_idle = not (self._waiting or is_busy)
        try:
            while self._connection.poll(None if is_idle else 0):
                self._waiting.append(self._connection.recv())
                is_idle = False
        except (EOFError, OSError):
            return False
        return True

    def step(self) -> None:
        """Start waiting tasks while there is room, and report what is done."""
        while self._waiting and (model := self._model(self._waiting[0])) is not None:
            task = self._waiting.popleft()
            if task.clip is not None:
                self._begun[task.clip] = task
                model.submit(task.clip)
        for run, model in list(self._models.items()):
            try:
                if model.predictor.is_busy:
                    for _, report in model.finished(_POLL_SECONDS):
                        clip = Path(report.verdict.path)
                        result = _result(_renamed(report, self._begun[clip].name))
                        self._end(TaskReport(clip, result=result))
            except DeepseqError as error:
                self._give_up(run, str(error))

    def _end(self, notice: TaskReport) -> None:
        if notice.clip is not None:
            del self._begun[notice.clip]
        self._send(notice)

    def _give_up(self, run: Path, error: str) -> None:
        """Close a model that does not work, and report its clips as failed."""
        self._models.pop(run).close()
        for clip in [clip for clip, task in self._begun.items() if task.run == run]:
            self._end(TaskReport(clip, error=error))

    def _model(self, task: Task) -> Reporter | None:
        """Return the model for a task, or None if it has to wait or cannot be done."""
        model = self._models.get(task.run)
        if model is None:
            if len(self._models) == _MAX_MODELS and not self._unload():
                return None
            try:
                model = self._models[task.run] = self._load(task.run)
            except DeepseqError as error:
                self._waiting.popleft()
                self._send(TaskReport(task.clip, error=str(error)))
                return None
        self._models.move_to_end(task.run)
        return model if model.predictor.has_room else None

    def _load(self, run: Path) -> Reporter:
        config = self._config
        return config.load(
            run,
            config.execution,
            config.override,
            config.predict,
            config.report,
            on_stage=lambda path, stage: self._send(TaskReport(path, stage)),
            on_verdict=self._explain,
        )

    def _explain(self, report: ClipReport) -> None:
        """Report a verdict that is going to be explained."""
        clip = Path(report.verdict.path)
        report = _renamed(report, self._begun[clip].name)
        result = ClassifiedClip(report.verdict, report.headline, report.sentences)
        self._send(TaskReport(clip, "explain", result))

    def _unload(self) -> bool:
        """Close the idle model that was not used for the longest time, if any."""
        for run, model in self._models.items():
            if not model.predictor.is_busy:
                del self._models[run]
                model.close()
                return True
        return False

    def _send(self, notice: TaskReport) -> None:
        with self._lock:  # stages are reported by several threads
            try:
                self._connection.send(notice)
            except OSError:  # the server has closed the connection, which ends `work`
                return

    def _close(self) -> None:
        for model in self._models.values():
            model.close()


def _renamed(report: ClipReport, name: str) -> ClipReport:
    """Return a report with the name that the client gave to the clip."""
    return replace(report, verdict=replace(report.verdict, path=name))


def _result(report: ClipReport) -> ClassifiedClip:
    stored = StoredReport(
        render(report).encode(),
        json.dumps(document(report, with_pictures=True), allow_nan=False).encode(),
    )
    is_kept = sum(map(len, stored)) <= _MAX_REPORT_BYTES
    return ClassifiedClip(
        report.verdict, report.headline, report.sentences, stored if is_kept else None
    )
