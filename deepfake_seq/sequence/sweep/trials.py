"""The Optuna study that stores the trials of a sweep.

The study is an SQLite database. It contains finished trials only, each added in one transaction, so
that a killed process leaves nothing to clean up. User attributes of a trial: `setting`, `seconds`,
`auc_by_seed` and, over the seeds, `auc` (mean), `auc_sd` (standard deviation; None for one seed)
and `brier` (mean); or `failed`, the reason. User attributes of the study: the result of each
training.

Optuna's journal file is no alternative: one truncated line makes the whole file unreadable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepfake_seq import locking
from deepfake_seq.errors import EngineError, RunError
from deepfake_seq.sequence.sweep.space import Setting, Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

NAME = "trials.db"
LOCK = ".lock"


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        EngineError: Optuna cannot be imported.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise EngineError(
            f"a sweep needs Optuna ({error}): pip install 'deepfake-seq[sweep]'"
        ) from error


def locked(folder: Path) -> AbstractContextManager[None]:
    """Create `folder` if needed, and lock it against other sweeps.

    Raises:
        UsageError: Another process is using the folder.
        RunError: The folder cannot be written.
    """
    refusal = f"another process is using {folder}: wait until it ends, or give another --out"
    return locking.locked(folder / LOCK, refusal)


@contextmanager
def opened(folder: Path) -> Iterator[Study]:
    """Open the study in a locked folder, or create it.

    Raises:
        RunError: The study cannot be read or written.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    path, storage = folder / NAME, None
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        # `creator`, because a path in the URL must not contain ?, % or braces.
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{NAME}", engine_kwargs={"creator": lambda: sqlite3.connect(path)}
        )
        yield optuna.create_study(
            storage=storage, study_name="sweep", direction="maximize", load_if_exists=True
        )
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise RunError(f"{path} cannot be read or written: {reason[:200]}") from error
    finally:
        if storage:
            storage.remove_session()
            storage.engine.dispose()
        optuna.logging.set_verbosity(verbosity)


def in_memory(done: Sequence[FrozenTrial]) -> Study:
    """Create a study for sampling; only its finished trials are added to the one on disk."""
    import optuna

    study = optuna.create_study(direction="maximize")
    study.add_trials(done)
    return study


def ask(study: Study, space: Space, strategy: str, seed: int, setting: Setting | None) -> Trial:
    """Start the next trial; its user attribute `setting` is the setting to try.

    The sampled setting depends only on the seed, the trial's number and, for `tpe`, the earlier
    trials, so that an interrupted sweep samples the same settings as an uninterrupted one.

    Args:
        study: All earlier trials.
        space: Settings to search.
        strategy: One of `config.STRATEGIES`.
        seed: Seed of the sampler.
        setting: The setting, for a grid; None to sample one.
    """
    from optuna.samplers import RandomSampler, TPESampler

    number = len(study.get_trials(deepcopy=False))
    seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study.sampler = TPESampler(seed=seed) if strategy == "tpe" else RandomSampler(seed=seed)
    if setting is not None:
        # GridSampler would also try combinations that differ only in what the model ignores.
        study.enqueue_trial({name: setting[name] for name in space.searched if name in setting})
    trial = study.ask()
    trial.set_user_attr("setting", space.suggest(trial))
    return trial
