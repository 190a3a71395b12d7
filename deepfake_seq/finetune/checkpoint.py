"""What is kept of a training after every epoch, so that it can go on, and to the same end.

A checkpoint is a small file that names two large ones: the weights and the optimizer as they are,
and the weights of the best epoch. Large files come first: whatever the small one names is whole.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from deepfake_seq import atomic
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.untrusted import damaged, decode, read_tensors

_LOG = logging.getLogger(__name__)

_STATE = "state.json"
_LOCK = "lock"
_MAX_BYTES = 1 << 32
_MAX_STATE_BYTES = 1 << 28

Tensors = dict[str, list[npt.NDArray[Any]]]
Row = dict[str, float]


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        history: One row an epoch.
        best_epoch: The one whose weights are kept, from 1; 0 before the first.
        merit: Of that epoch.
    """

    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    merit: tuple[float, ...] = ()


class _State(Struct):
    """The content of the small file."""

    identity: dict[str, Any]
    history: list[dict[str, float | None]]
    best_epoch: Annotated[int, Meta(ge=0)]
    merit: tuple[float, ...]
    latest: str


class Checkpoints:
    """The checkpoints of one training, in a folder that is removed when it is done.

    Args:
        run: The run that is to be made. They are in a folder beside it.
        identity: Plain JSON values; all that a training to be continued must have in common.

    Attributes:
        folder: Where they are.
    """

    def __init__(self, run: Path, identity: dict[str, Any]) -> None:
        self._run = run
        self.folder = run.with_name(f"{run.name}.checkpoint")
        self._identity = json.loads(json.dumps(identity))
        self._remedy = f"Remove {self.folder} to start anew."

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from the same training.

        Raises:
            UsageError: Another one is at it.
            RunError: The folder cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / _LOCK, timeout=0)
        with self.writing():
            atomic.make_directory(self.folder)
            try:
                lock.acquire()
            except Timeout as error:
                raise UsageError(
                    f"another process is training into {self._run}. Wait for it, or give another "
                    "--out."
                ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What the disk refuses becomes one clear line.

        Raises:
            RunError: It refuses something.
        """
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot write to {self.folder}: {error.strerror or error}. The epochs before are "
                "kept; the same command goes on from there."
            ) from error

    def load(self) -> tuple[Progress, Tensors] | None:
        """How far a training came that was ended, and its arrays; None if there is none.

        Raises:
            UsageError: It was another training: with other settings, faces or clips.
            RunError: A file is damaged.
        """
        path = self.folder / _STATE
        if not path.exists():
            return None
        state = decode(path, _State, _MAX_STATE_BYTES, self._remedy)
        theirs = state.identity
        different = [name for name, own in self._identity.items() if theirs.get(name) != own]
        if different:
            said = "; ".join(_said(name, theirs.get(name)) for name in sorted(different))
            raise UsageError(
                f"{self._run} is a training that was interrupted, with other settings: "
                f"{said}. Call it with the same ones, or give another --out."
            )
        history = [_row(row) for row in state.history]
        return Progress(history, state.best_epoch, state.merit), self._read(state.latest)

    def best(self, progress: Progress) -> list[npt.NDArray[Any]]:
        """The weights of the best epoch.

        Raises:
            RunError: The file is damaged.
        """
        return self._read(_best_name(progress.best_epoch)).get("weights", [])

    def require_like(
        self, wanted: Sequence[npt.NDArray[Any]], found: Sequence[npt.NDArray[Any]]
    ) -> None:
        """Refuse arrays that cannot take the place of others.

        Raises:
            RunError: They are not of the same shapes.
        """
        if [own.shape for own in wanted] != [own.shape for own in found]:
            raise damaged(
                self.folder, "it holds arrays of another CNN, head or optimizer", self._remedy
            )

    def save(self, progress: Progress, weights: list[Any], optimizer: list[Any]) -> None:
        """Keep the last epoch, and its weights as the best ones if they are.

        Raises:
            RunError: The disk does not take them.
        """
        with self.writing():
            self._save(progress, weights, optimizer)

    def _save(self, progress: Progress, weights: list[Any], optimizer: list[Any]) -> None:
        epoch = len(progress.history)
        if progress.best_epoch == epoch:
            self._write(_best_name(epoch), {"weights": weights})
        latest = f"epoch-{epoch}.safetensors"
        self._write(latest, {"weights": weights, "optimizer": optimizer})
        state = {
            "identity": self._identity,
            "history": [_plain(row) for row in progress.history],
            "best_epoch": progress.best_epoch,
            "merit": list(progress.merit),
            "latest": latest,
        }
        atomic.write_json(self.folder / _STATE, state)
        needed = {latest, _best_name(progress.best_epoch)}
        for path in self.folder.glob("*.safetensors"):
            if path.name not in needed:
                path.unlink()

    def remove(self) -> None:
        """Remove what there is, once the run is written. The state goes first."""
        try:
            (self.folder / _STATE).unlink(missing_ok=True)
            for path in self.folder.iterdir():
                path.unlink(missing_ok=True)
            self.folder.rmdir()
        except OSError as error:  # the run is there all the same
            _LOG.warning("%s can be removed, but not by me: %s", self.folder, error.strerror)

    def _write(self, name: str, tensors: Tensors) -> None:
        from safetensors.numpy import save

        named = {
            f"{kind}/{number:05}": np.asarray(own, order="C")
            for kind, several in tensors.items()
            for number, own in enumerate(several)
        }
        atomic.write_bytes(self.folder / name, save(named))

    def _read(self, name: str) -> Tensors:
        path = self.folder / name
        if Path(name).name != name:
            raise damaged(path, "its name leads elsewhere", self._remedy)
        named = read_tensors(path, _MAX_BYTES, self._remedy)
        kinds: Tensors = {}
        for key in sorted(named):
            kinds.setdefault(key.split("/")[0], []).append(named[key])
        return kinds


def _said(name: str, value: object) -> str:
    """What was otherwise, on one line."""
    if isinstance(value, dict | list):
        return f"{name} were others"
    return f"{name} was {value}"


def _plain(row: Row) -> dict[str, float | None]:
    """As JSON, which has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in row.items()}


def _row(values: dict[str, float | None]) -> Row:
    return {name: math.nan if value is None else value for name, value in values.items()}


def _best_name(epoch: int) -> str:
    return f"best-{epoch}.safetensors"
