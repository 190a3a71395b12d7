"""The trials of a sweep: what was tried and what came of it, in a database of Optuna's.

SQLite keeps it: what was committed is there and what was not is gone, however the process ends.
(Optuna's journal file needs no database, but a line that was cut short makes all of it unreadable.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.errors import EngineError, RunError, UsageError
from deepfake_seq.sequence.space import Setting, Space, key

NAME = "trials.db"
LOCK = ".lock"

_STUDY = "sweep"
_TRIED, _ROUNDS, _REASON = "tried", "rounds", "reason"


@dataclass(frozen=True)
class Round:
    """How a setting did with one seed.

    Attributes:
        auc: Of the validation clips, each scored by a network that was not trained on it.
        brier: Of their calibrated scores, both classes weighed alike; lower is better.
        seconds: How long training took.
    """

    auc: float
    brier: float
    seconds: float


@dataclass(frozen=True)
class Tried:
    """A trial that is done.

    Attributes:
        index: Its place in the sweep, from 0.
        setting: What was tried.
        rounds: By seed.
        reason: Why it failed, or "".
    """

    index: int
    setting: Setting
    rounds: dict[int, Round]
    reason: str = ""

    @property
    def mean(self) -> float:
        """The mean AUC over the seeds."""
        return float(np.mean([own.auc for own in self.rounds.values()]))

    @property
    def spread(self) -> float | None:
        """The standard deviation of the AUC over the seeds; None where there is one."""
        aucs = [own.auc for own in self.rounds.values()]
        return float(np.std(aucs, ddof=1)) if len(aucs) > 1 else None

    @property
    def brier(self) -> float:
        """The mean Brier score over the seeds."""
        return float(np.mean([own.brier for own in self.rounds.values()]))


class Attempt:
    """A trial that is under way; what it says is kept at once.

    Attributes:
        index: Its place in the sweep.
        setting: What is tried.
        rounds: What is known of it, by seed: also from trials of the same setting, whole or not.
        reason: Why that setting failed before, or "".
    """

    def __init__(self, study: Any, trial: Any, index: int, setting: Setting, known: Known) -> None:
        self.index = index
        self.setting = setting
        self.rounds, self.reason = known
        self._study = study
        self._trial = trial

    def add(self, seed: int, found: Round) -> None:
        """Keep what one seed gave."""
        self.rounds[seed] = found
        self._save_rounds()

    def complete(self, seeds: range) -> Tried:
        """All seeds are done."""
        self._save_rounds()
        done = Tried(self.index, self.setting, {seed: self.rounds[seed] for seed in seeds})
        self._study.tell(self._trial, done.mean)
        return done

    def fail(self, reason: str) -> Tried:
        """The setting cannot be used."""
        from optuna.trial import TrialState

        self._trial.set_user_attr(_REASON, reason)
        self._study.tell(self._trial, state=TrialState.FAIL)
        return Tried(self.index, self.setting, self.rounds, reason)

    def _save_rounds(self) -> None:
        values = {str(seed): asdict(own) for seed, own in self.rounds.items()}
        self._trial.set_user_attr(_ROUNDS, values)


Known = tuple[dict[int, Round], str]


class Ledger:
    """The trials of one sweep, done or to be done.

    Args:
        study: Optuna's.
        space: What is searched.
        strategy: One of `config.STRATEGIES`.
        seed: Of the drawing.
    """

    def __init__(self, study: Any, space: Space, strategy: str, seed: int) -> None:
        self._study = study
        self._space = space
        self._strategy = strategy
        self._seed = seed
        self._clear_leftovers()

    def done(self) -> dict[int, Tried]:
        """What is done, by index."""
        from optuna.trial import TrialState

        found = {}
        for trial in self._study.get_trials(deepcopy=False):
            values = trial.user_attrs
            if trial.state == TrialState.COMPLETE or _REASON in values:
                tried = values[_TRIED]
                found[tried["index"]] = Tried(
                    **tried, rounds=_rounds(values), reason=values.get(_REASON, "")
                )
        return dict(sorted(found.items()))

    def begin(self, index: int, given: Setting | None) -> Attempt:
        """Start the trial of an index: of a given setting, or of one that the strategy draws.

        What is drawn depends on the seed, the index and, for `tpe`, on the trials before: a sweep
        that was interrupted draws as one that was not.
        """
        if given is None:
            self._study.sampler = self._sampler(index)
        else:
            # Optuna's own grid sampler would take a trial that was cut short for done.
            searched = [name for name in self._space.searched if name in given]
            self._study.enqueue_trial({name: given[name] for name in searched})
        trial = self._study.ask()
        setting = self._space.suggest(trial)
        trial.set_user_attr(_TRIED, {"index": index, "setting": setting})
        return Attempt(self._study, trial, index, setting, self._known(setting))

    def _known(self, setting: Setting) -> Known:
        """What all trials of a setting have said: the same training gives the same again."""
        rounds: dict[int, Round] = {}
        reason = ""
        for trial in self._study.get_trials(deepcopy=False):
            values = trial.user_attrs
            if _TRIED in values and key(values[_TRIED]["setting"]) == key(setting):
                rounds |= _rounds(values)
                reason = reason or values.get(_REASON, "")
        return rounds, reason

    def _sampler(self, index: int) -> Any:
        from optuna.samplers import RandomSampler, TPESampler

        seed = int(np.random.SeedSequence([self._seed, index]).generate_state(1)[0])
        return TPESampler(seed=seed) if self._strategy == "tpe" else RandomSampler(seed=seed)

    def _clear_leftovers(self) -> None:
        """Close the trials of a process that is gone; their indices are taken up again."""
        from optuna.trial import TrialState

        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        for _ in waiting:
            self._study.ask()
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)


def require_optuna() -> None:
    """Refuse to begin where Optuna is missing.

    Raises:
        EngineError: It cannot be imported.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise EngineError(
            f"a sweep needs Optuna ({error}): pip install 'deepfake-seq[sweep]'"
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only process that works in `folder`, which is made.

    Raises:
        UsageError: Another one does.
        RunError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"another process is at work in {folder}: wait until it is done"
        ) from error
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def opened(folder: Path, space: Space, strategy: str, seed: int) -> Iterator[Ledger]:
    """The ledger in `folder`, a new one where there is none; the folder is locked.

    Raises:
        RunError: It cannot be read or written.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    path, storage = folder / NAME, None
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        # By a function: a path within a URL would have to be free of ?, % and braces.
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{NAME}", engine_kwargs={"creator": lambda: sqlite3.connect(path)}
        )
        study = optuna.create_study(
            storage=storage, study_name=_STUDY, direction="maximize", load_if_exists=True
        )
        yield Ledger(study, space, strategy, seed)
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise RunError(f"{path} cannot be read or written: {reason[:200]}") from error
    finally:
        if storage:
            storage.remove_session()
            storage.engine.dispose()
        optuna.logging.set_verbosity(told)


def _rounds(values: dict[str, Any]) -> dict[int, Round]:
    return {int(seed): Round(**own) for seed, own in values.get(_ROUNDS, {}).items()}
