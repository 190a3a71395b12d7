"""What a sweep leaves in its folder: what was searched, every trial, a table and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence.space import DIMENSIONS, Space, Value
from deepfake_seq.sequence.sweep_figure import value_by_setting
from deepfake_seq.sequence.tables import Rows, figure, markdown
from deepfake_seq.sequence.trials import Tried
from deepfake_seq.store import Fingerprint
from deepfake_seq.untrusted import decode

NAME = "sweep.json"
TRIALS = "trials.csv"
PICTURE = "sweep.png"

FORMAT = "deepseq-sweep"
FORMAT_VERSION = 1

_MOST_BYTES = 1 << 20
_MOST_NAMED = 5


def require_own(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse a folder that holds anything but a sweep of this identity.

    Raises:
        UsageError: It does; the message says what differs.
        RunError: It cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        if folder.exists() and (
            not folder.is_dir() or any(not own.name.startswith(".") for own in folder.iterdir())
        ):
            raise UsageError(f"{folder} is there already and is no sweep. Give another --out.")
        return
    values = decode(path, dict[str, Any], _MOST_BYTES, "Give another --out.")
    if (values.get("format"), values.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise RunError(f"{path} is not of format {FORMAT} {FORMAT_VERSION}. Give another --out.")
    there = values.get("identity")
    if not isinstance(there, dict):
        raise RunError(f"{path} is damaged: it does not say what is searched")
    differences = Fingerprint(there).differences(Fingerprint(identity))
    if differences:
        more = len(differences) - _MOST_NAMED
        named = differences[:_MOST_NAMED] + ([f"{more} more"] if more > 0 else [])
        raise UsageError(
            f"{folder} is another sweep: {'; '.join(named)}. Give another --out, or the same "
            "settings and the same store."
        )


def found(folder: Path, identity: dict[str, Any], data: str) -> None:
    """Say in a new folder what is searched, and on which data; see `require_own`."""
    require_own(folder, identity)
    path = folder / NAME
    if not path.exists():
        values = {"format": FORMAT, "format_version": FORMAT_VERSION, "data": data}
        with _writing(path):
            atomic.write_json(path, {**values, "identity": identity})


def write_trials(folder: Path, tried: Sequence[Tried], seeds: range) -> None:
    """Write every trial as a row of `trials.csv`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    each = [f"auc_seed_{seed}" for seed in seeds]
    writer.writerow(["trial", *DIMENSIONS, "auc", "auc_sd", "brier", "seconds", *each, "failed"])
    for own in sorted(tried, key=lambda own: own.index):
        seconds = f"{sum(found.seconds for found in own.rounds.values()):.1f}"
        spread = "" if own.reason or own.spread is None else own.spread
        figures = [""] * 2 if own.reason else [own.mean, own.brier]
        aucs = [own.rounds[seed].auc if seed in own.rounds else "" for seed in seeds]
        setting = [own.setting.get(name, "") for name in DIMENSIONS]
        writer.writerow(
            [own.index, *setting, figures[0], spread, figures[1], seconds, *aucs, own.reason]
        )
    _write(folder / TRIALS, buffer.getvalue().encode())


def write_summary(
    folder: Path, ranked: Sequence[Tried], failed: Sequence[Tried], space: Space, notes: list[str]
) -> None:
    """Write the settings in their order as README.md, and as a picture."""
    lines = [
        f"# {folder.name}",
        "",
        *markdown(rows(ranked, failed, space)),
        "",
        *[f"- {note}" for note in notes],
        "",
    ]
    _write(folder / "README.md", "\n".join(lines).encode())
    if space.searched:
        _write(folder / PICTURE, value_by_setting(ranked, space))


def rows(ranked: Sequence[Tried], failed: Sequence[Tried], space: Space) -> Rows:
    """A header, and a row for each setting with what is searched of it and how well it does."""
    names = space.searched
    header = ["", *(name.replace("_", " ") for name in names), "validation AUC", "Brier", "trial"]
    table = [header]
    for place, own in enumerate(ranked, start=1):
        auc = figure(own.mean) + ("" if own.spread is None else f" ± {figure(own.spread)}")
        table.append([str(place), *_cells(own, names), auc, figure(own.brier), str(own.index)])
    for own in failed:
        table.append(["–", *_cells(own, names), "failed", "–", str(own.index)])
    return table


def _cells(own: Tried, names: Sequence[str]) -> list[str]:
    return [_text(own.setting[name]) if name in own.setting else "–" for name in names]


def _text(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    with _writing(path):
        atomic.write_bytes(path, content)
