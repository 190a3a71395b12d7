"""A run directory: a trained model and all that is needed to use and to judge it.

Weights are in safetensors and everything else in JSON: loading a run executes nothing that the run
contains, and opens nothing but regular files that lie in it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.config import ExtractConfig, ModelConfig
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence.calibration import PlattScaling
from deepfake_seq.sequence.cells import Tensor
from deepfake_seq.sequence.data import SequenceData
from deepfake_seq.sequence.decision import Decision
from deepfake_seq.sequence.features import Arrays
from deepfake_seq.sequence.metrics import Scores
from deepfake_seq.sequence.networks import Network, mean_logits, restore
from deepfake_seq.store import Fingerprint
from deepfake_seq.untrusted import read_file, read_json

FORMAT = "deepseq-run"
FORMAT_VERSION = 2
DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"

MOST_DESCRIPTION_BYTES = 1 << 20
_MOST_WEIGHTS_BYTES = 1 << 30
_MOST_FRAMES, _MOST_WIDTH, _MOST_MEMBERS = 256, 65_536, 100
_MOST_TITLE = 80


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """A trained model that is ready to judge clips.

    Attributes:
        config: Which model it is.
        members: The networks; the model's logit is the mean of theirs.
        shape: (T, D) of the features that it takes.
        calibration: From its logits to probabilities.
        decision: From probabilities to a call.
        data: What people call the data that it was trained on.
        extract_config: The settings that its features must be made with. Weights files that were
            given are named without their folders; the fingerprint has their digests.
        fingerprint: Of the features that it was trained on.
        title: What people call the model; by default the title of `config`.
    """

    config: ModelConfig
    members: tuple[Network, ...]
    shape: tuple[int, int]
    calibration: PlattScaling
    decision: Decision
    data: str
    extract_config: ExtractConfig
    fingerprint: Fingerprint
    title: str = ""

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.config.title)

    def scores_of(self, arrays: Arrays) -> Scores:
        """Calibrated probabilities of fake, (N,), for features (N, T, D) and mask (N, T).

        Raises:
            RunError: A network says something that is no number.
        """
        logits = mean_logits(self.members, arrays)
        if not np.isfinite(logits).all():
            raise RunError(
                f"the {self.title} gives a logit that is not finite: its weights are damaged"
            )
        return self.calibration.apply(logits)

    def scores(self, data: SequenceData) -> Scores:
        """Calibrated probabilities of fake, (N,), reading the clips in batches."""
        return np.concatenate([np.zeros(0), *(self.scores_of(batch) for batch in data.batches())])

    @property
    def parameters(self) -> dict[str, int]:
        """Of one network: how many numbers it holds (`total`), and how many are `trainable`."""
        return self.members[0].parameters


def save(folder: Path, model: SequenceModel, notes: dict[str, Any]) -> None:
    """Write a model into `folder`.

    Args:
        folder: Where to.
        model: The model.
        notes: What else belongs into `model.json`: parameters, split, training, versions; a
            `title` goes before the model's.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {
        f"{_prefix(number)}{name}": tensor
        for number, member in enumerate(model.members)
        for name, tensor in member.tensors.items()
    }
    atomic.write_bytes(folder / WEIGHTS, to_bytes(tensors))
    frames, width = model.shape
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": asdict(model.config),
        "members": len(model.members),
        "input": {"frames": frames, "width": width},
        "calibration": asdict(model.calibration),
        "decision": asdict(model.decision),
        "data": model.data,
        "fingerprint_id": model.fingerprint.id,
        "fingerprint": dict(model.fingerprint.fields),
        "extract_config": model.extract_config.without_folders().to_dict(),
        **({"title": model.title} if model.title != model.config.title else {}),
        **notes,
    }
    atomic.write_json(folder / DESCRIPTION, description)


def describe(folder: Path) -> dict[str, Any]:
    """What `model.json` says, once it is known to be of this format.

    Raises:
        RunError: There is no run in `folder`, or it cannot be read.
    """
    path = folder / DESCRIPTION
    if not os.path.lexists(path):
        raise RunError(f"no run in {folder}: it has no {DESCRIPTION}. `deepseq fit` makes one.")
    values = read_json(path, MOST_DESCRIPTION_BYTES)
    try:
        kind = (values["format"], values["format_version"])
    except KeyError as error:
        raise RunError(f"{path} cannot be read: it has no {error}") from error
    if kind != (FORMAT, FORMAT_VERSION):
        raise RunError(
            f"{path} is not of format {FORMAT} {FORMAT_VERSION}. Make the run again with "
            f"`deepseq fit`. Received: {kind}"
        )
    warnings = values.get("warnings", [])
    if type(warnings) is not list or not all(type(warning) is str for warning in warnings):
        raise RunError(f"{path} is damaged or was altered: its warnings are no list of texts")
    title = values.get("title", DESCRIPTION)
    if type(title) is not str or not 1 <= len(title) <= _MOST_TITLE or not title.isprintable():
        raise RunError(f"{path} is damaged or was altered: its title is no short text on one line")
    return values


def title_of(values: dict[str, Any]) -> str:
    """What people call the model of a run, from what `describe` gives.

    Raises:
        UsageError, KeyError, TypeError: The model's settings are damaged.
    """
    return str(values.get("title") or ModelConfig.from_dict(values["model"]).title)


def load(folder: Path) -> SequenceModel:
    """Read a model back.

    Raises:
        RunError: Something in the run is missing, damaged or does not fit; says what.
    """
    values = describe(folder)
    try:
        config = ModelConfig.from_dict(values["model"])
        frames = _whole(values["input"]["frames"], _MOST_FRAMES)
        width = _whole(values["input"]["width"], _MOST_WIDTH)
        members = _whole(values["members"], _MOST_MEMBERS)
        calibration = PlattScaling(**values["calibration"])
        data = values["data"]
        if type(data) is not str:
            raise TypeError(f"data must be text. Received: {data!r}")
        decision = Decision(**{**values["decision"], "band": tuple(values["decision"]["band"])})
        extract_config = ExtractConfig.from_dict(values["extract_config"])
        if extract_config != extract_config.without_folders():
            raise ValueError("it names a path, where only the name of a weights file may stand")
        fingerprint = Fingerprint(values["fingerprint"])
        if fingerprint.id != values["fingerprint_id"]:
            raise ValueError("its fingerprint is not its own id")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UsageError) as error:
        raise RunError(f"{folder / DESCRIPTION} is damaged or was altered: {error!r}") from error
    tensors = _read_tensors(folder / WEIGHTS)
    own: list[dict[str, Tensor]] = [{} for _ in range(members)]
    try:
        for name, tensor in tensors.items():
            number = next(n for n in range(members) if name.startswith(_prefix(n)))
            own[number][name.removeprefix(_prefix(number))] = tensor
        networks = tuple(restore(config, width, tensors) for tensors in own)
    except (ValueError, StopIteration) as error:
        raise RunError(
            f"{folder / WEIGHTS} is damaged or was altered: "
            f"{str(error) or f'{name} belongs to no member'}"
        ) from error
    return SequenceModel(
        config,
        networks,
        (frames, width),
        calibration,
        decision,
        data,
        extract_config,
        fingerprint,
        values.get("title", ""),
    )


def newest(runs: Path) -> Path:
    """The run in `runs` that was finished last.

    Raises:
        RunError: There is none.
    """
    found = [path.parent for path in runs.glob(f"*/{DESCRIPTION}")]
    if not found:
        raise RunError(f"no run in {runs}. Train one with `deepseq fit`, or name one with --run.")
    return max(found, key=lambda folder: ((folder / DESCRIPTION).stat().st_mtime_ns, folder.name))


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"not a whole number from 1 to {most}. Received: {value!r}")
    return value


def _prefix(number: int) -> str:
    return f"member_{number}/"


def _read_tensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    content = read_file(path, _MOST_WEIGHTS_BYTES)
    try:
        return dict(from_bytes(content))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read: {error!r}") from error
