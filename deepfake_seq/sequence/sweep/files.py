"""The files of a sweep: its search space, a table of trials, a summary and a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake_seq import atomic
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence.reports.tables import Rows, format_metric, markdown
from deepfake_seq.sequence.sweep.plot import value_by_setting
from deepfake_seq.sequence.sweep.space import DIMENSIONS, Space, Value
from deepfake_seq.store import Fingerprint
from deepfake_seq.untrusted import decode

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

NAME = "sweep.json"
TRIALS = "trials.csv"
PICTURE = "sweep.png"

FORMAT = "deepseq-sweep"
FORMAT_VERSION = 2

_MAX_BYTES = 1 << 20
_MAX_DIFFERENCES = 5


def require_same(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse a folder that contains anything but a sweep of this identity.

    Raises:
        UsageError: It contains something else; the message names the differences.
        RunError: It cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        if folder.exists() and (
            not folder.is_dir() or any(not file.name.startswith(".") for file in folder.iterdir())
        ):
            raise UsageError(f"{folder} already exists and is not a sweep. Give another --out.")
        return
    values = decode(path, dict[str, Any], _MAX_BYTES, "Give another --out.")
    name, version = values.get("format"), values.get("format_version")
    if (name, version) != (FORMAT, FORMAT_VERSION):
        raise RunError(
            f"{path} was written by another version of deepseq: resume with that version, or give "
            f"another --out. Received: format {name} {version}, not {FORMAT} {FORMAT_VERSION}"
        )
    stored = values.get("identity")
    if not isinstance(stored, dict):
        raise RunError(f"{path} is damaged: it has no `identity`. Give another --out.")
    differences = Fingerprint(stored).differences(Fingerprint(identity))
    if differences:
        more = len(differences) - _MAX_DIFFERENCES
        named = differences[:_MAX_DIFFERENCES] + ([f"{more} more"] if more > 0 else [])
        raise UsageError(
            f"{folder} contains a different sweep: {'; '.join(named)}. Give another --out, or use "
            "the same settings and the same store."
        )


def write_identity(folder: Path, identity: dict[str, Any], data: str) -> None:
    """Write `sweep.json` in a new folder; see `require_same`.

    Args:
        folder: Folder of the sweep.
        identity: Everything the result of a trial depends on.
        data: Name of the data set.
    """
    require_same(folder, identity)
    if not (folder / NAME).exists():
        values = {"format": FORMAT, "format_version": FORMAT_VERSION, "data": data}
        _write(folder / NAME, atomic.write_json, {**values, "identity": identity})


def write_trials(folder: Path, trials: Sequence[FrozenTrial], seeds: range) -> None:
    """Write every trial as a row of `trials.csv`."""
    by_seed = {str(seed): f"auc_seed_{seed}" for seed in seeds}
    names = ["trial", *DIMENSIONS, "auc", "auc_sd", "brier", "seconds", *by_seed.values(), "failed"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for trial in trials:
        values = trial.user_attrs
        aucs = {by_seed[seed]: auc for seed, auc in values["auc_by_seed"].items()}
        writer.writerow({"trial": trial.number, **values, **values["setting"], **aucs})
    _write(folder / TRIALS, atomic.write_bytes, buffer.getvalue().encode())


def write_summary(
    folder: Path,
    ranked: Sequence[FrozenTrial],
    failed: Sequence[FrozenTrial],
    space: Space,
    warnings: Sequence[str],
) -> None:
    """Write the ranking and the warnings as README.md, and plot the settings."""
    table = markdown(rows(ranked, failed, space))
    lines = [f"# {folder.name}", "", *table, "", *[f"- {warning}" for warning in warnings], ""]
    _write(folder / "README.md", atomic.write_bytes, "\n".join(lines).encode())
    if space.searched:
        _write(folder / PICTURE, atomic.write_bytes, value_by_setting(ranked, space))


def rows(ranked: Sequence[FrozenTrial], failed: Sequence[FrozenTrial], space: Space) -> Rows:
    """Return a header, and a row for each setting: rank, values, AUC, Brier score, trial."""
    names = space.searched
    header = ["", *(name.replace("_", " ") for name in names), "validation AUC", "Brier", "trial"]
    table = [header]
    for rank, trial in enumerate([*ranked, *failed], start=1):
        values = trial.user_attrs
        place, auc, brier = "–", "failed", "–"
        if "failed" not in values:
            spread = "" if values["auc_sd"] is None else f" ± {format_metric(values['auc_sd'])}"
            place, auc, brier = (
                str(rank),
                format_metric(values["auc"]) + spread,
                format_metric(values["brier"]),
            )
        cells = [_text(values["setting"].get(name, "–")) for name in names]
        table.append([place, *cells, auc, brier, str(trial.number)])
    return table


def _text(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(path: Path, write: Any, content: object) -> None:
    try:
        write(path, content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
