"""Checkpoints after every epoch, from which a training resumes with the same result.

A checkpoint is a small file that names two large ones: the current weights and optimizer state, and
the weights of the best epoch. The large files are written first, so that every file that the small
one names is complete.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from deepfake_seq import atomic, locking
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.untrusted import damaged, decode, read_tensors

_LOG = logging.getLogger(__name__)

_STATE = "state.json"
_LOCK = "lock"
_MAX_BYTES = 1 << 32
_MAX_STATE_BYTES = 1 << 28

Tensors = dict[str, list[npt.NDArray[Any]]]
EpochRow = dict[str, float]


@dataclass
class FinetuneProgress:
    """Progress of finetuning.

    Attributes:
        history: A row for each finished epoch.
        best_epoch: Number of the best epoch, from 1; 0 before the first epoch.
        monitor_value: Monitored values of the best epoch, in order of priority; higher is better.
    """

    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    monitor_value: tuple[float, ...] = ()


class _State(Struct):
    """The content of `state.json`; `merit` is the monitor value."""

    identity: dict[str, Any]
    history: list[dict[str, float | None]]
    best_epoch: Annotated[int, Meta(ge=0)]
    merit: tuple[float, ...]
    latest: str


class Checkpoints:
    """The checkpoints of one training, in a folder that is removed at its end.

    Args:
        run: Path of the future run directory; the checkpoints are in a folder next to it.
        identity: Plain JSON values that must be equal for a training to be resumed.

    Attributes:
        folder: Folder of the checkpoints.
    """

    def __init__(self, run: Path, identity: dict[str, Any]) -> None:
        self._run = run
        self.folder = run.with_name(f"{run.name}.checkpoint")
        self._identity = json.loads(json.dumps(identity))
        self._remedy = f"Remove {self.folder} to start again."

    def locked(self) -> AbstractContextManager[None]:
        """Lock the folder against other processes.

        Raises:
            UsageError: Another process has locked it.
            RunError: The folder cannot be written.
        """
        with self.reporting_write_errors():
            atomic.make_directory(self.folder)
        return locking.locked(
            self.folder / _LOCK,
            f"another process is writing {self._run}. Wait until it ends, or give another --out.",
        )

    @contextmanager
    def reporting_write_errors(self) -> Iterator[None]:
        """Turn an `OSError` of the block into a `RunError`.

        Raises:
            RunError: Something cannot be written.
        """
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write to {self.folder}: {error.strerror or error}. Finished epochs are "
                "kept; the same command resumes from there."
            ) from error

    def load(self) -> tuple[FinetuneProgress, Tensors] | None:
        """Read the progress of an interrupted training, and its arrays; None if there is none.

        Raises:
            UsageError: The training has other settings, faces or clips.
            RunError: A file is damaged.
        """
        path = self.folder / _STATE
        if not path.exists():
            return None
        state = decode(path, _State, _MAX_STATE_BYTES, self._remedy)
        stored = state.identity
        different = [name for name, value in self._identity.items() if stored.get(name) != value]
        if different:
            differences = "; ".join(
                _difference(name, stored.get(name)) for name in sorted(different)
            )
            raise UsageError(
                f"{self._run} is an interrupted training with other settings: {differences}. "
                "Resume it with the same settings, or give another --out."
            )
        history = [_row(row) for row in state.history]
        progress = FinetuneProgress(history, state.best_epoch, state.merit)
        return progress, self._read(state.latest)

    def best(self, progress: FinetuneProgress) -> list[npt.NDArray[Any]]:
        """Read the weights of the best epoch.

        Raises:
            RunError: The file is damaged.
        """
        return self._read(_best_name(progress.best_epoch)).get("weights", [])

    def require_same_shapes(
        self, expected: Sequence[npt.NDArray[Any]], stored: Sequence[npt.NDArray[Any]]
    ) -> None:
        """Refuse stored arrays whose shapes differ from the expected ones.

        Raises:
            RunError: The shapes differ.
        """
        if [array.shape for array in expected] != [array.shape for array in stored]:
            raise damaged(
                self.folder, "it contains arrays of another CNN, head or optimizer", self._remedy
            )

    def save(self, progress: FinetuneProgress, weights: list[Any], optimizer: list[Any]) -> None:
        """Write the last epoch, and its weights as the best ones if it is the best epoch.

        Raises:
            RunError: A file cannot be written.
        """
        with self.reporting_write_errors():
            self._save(progress, weights, optimizer)

    def _save(self, progress: FinetuneProgress, weights: list[Any], optimizer: list[Any]) -> None:
        epoch = len(progress.history)
        if progress.best_epoch == epoch:
            self._write(_best_name(epoch), {"weights": weights})
        latest = f"epoch-{epoch}.safetensors"
        self._write(latest, {"weights": weights, "optimizer": optimizer})
        state = {
            "identity": self._identity,
            "history": [_plain(row) for row in progress.history],
            "best_epoch": progress.best_epoch,
            "merit": list(progress.monitor_value),
            "latest": latest,
        }
        atomic.write_json(self.folder / _STATE, state)
        needed = {latest, _best_name(progress.best_epoch)}
        for path in self.folder.glob("*.safetensors"):
            if path.name not in needed:
                path.unlink()

    def remove(self) -> None:
        """Remove all checkpoints, the state first; called once the run is written."""
        try:
            (self.folder / _STATE).unlink(missing_ok=True)
            for path in self.folder.iterdir():
                path.unlink(missing_ok=True)
            self.folder.rmdir()
        except OSError as error:  # the run is complete anyway
            _LOG.warning(
                "%s is no longer needed but could not be removed: %s", self.folder, error.strerror
            )

    def _write(self, name: str, tensors: Tensors) -> None:
        from safetensors.numpy import save

        named = {
            f"{kind}/{number:05}": np.asarray(array, order="C")
            for kind, arrays in tensors.items()
            for number, array in enumerate(arrays)
        }
        atomic.write_bytes(self.folder / name, save(named))

    def _read(self, name: str) -> Tensors:
        path = self.folder / name
        if Path(name).name != name:
            raise damaged(path, "its name contains a folder", self._remedy)
        named = read_tensors(path, _MAX_BYTES, self._remedy)
        kinds: Tensors = {}
        for key in sorted(named):
            kinds.setdefault(key.split("/")[0], []).append(named[key])
        return kinds


def _difference(name: str, stored: object) -> str:
    """Describe the stored value of a setting that differs, on one line."""
    if isinstance(stored, dict | list):
        return f"other {name}"
    return f"{name} was {stored}"


def _plain(row: EpochRow) -> dict[str, float | None]:
    """Replace NaN, which JSON lacks, by None."""
    return {name: None if math.isnan(value) else value for name, value in row.items()}


def _row(values: dict[str, float | None]) -> EpochRow:
    return {name: math.nan if value is None else value for name, value in values.items()}


def _best_name(epoch: int) -> str:
    return f"best-{epoch}.safetensors"
