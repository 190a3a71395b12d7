"""A run directory: a trained model and all that is needed to use and to judge it.

Weights are in safetensors and everything else in JSON: loading a run executes nothing that the run
contains.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.config import ExtractConfig, ModelConfig
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence.calibration import PlattScaling
from deepfake_seq.sequence.metrics import Scores
from deepfake_seq.sequence.models import build_model
from deepfake_seq.sequence.standardize import Standardizer
from deepfake_seq.sequence.training import predict_logits
from deepfake_seq.store import Fingerprint

FORMAT = "deepseq-run"
FORMAT_VERSION = 1
DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """A trained model that is ready to judge clips.

    Attributes:
        config: Which model it is.
        network: The `keras.Model`.
        standardizer: Of its inputs.
        calibration: From its logits to probabilities.
        threshold: Scores of at least this are called fake.
        extract_config: The settings that its features must be made with.
        fingerprint: Of the features that it was trained on.
    """

    config: ModelConfig
    network: Any
    standardizer: Standardizer
    calibration: PlattScaling
    threshold: float
    extract_config: ExtractConfig
    fingerprint: Fingerprint

    def logits(
        self, features: npt.NDArray[np.float16], mask: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """What the network says, before calibration: (N,) for features (N, T, D)."""
        return predict_logits(self.network, self.standardizer.apply(features, mask), mask)

    def scores(self, features: npt.NDArray[np.float16], mask: npt.NDArray[np.bool_]) -> Scores:
        """Calibrated probabilities of fake: (N,) for features (N, T, D) and mask (N, T)."""
        return self.calibration.apply(self.logits(features, mask))


def save(folder: Path, model: SequenceModel, notes: dict[str, Any]) -> None:
    """Write a model into `folder`.

    Args:
        folder: Where to.
        model: The model.
        notes: What else belongs into `model.json`: parameters, split, training, versions.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {
        f"network/{variable.path}": np.ascontiguousarray(value, dtype=np.float32)
        for variable, value in zip(model.network.weights, model.network.get_weights(), strict=True)
    }
    tensors["standardizer/mean"] = model.standardizer.mean
    tensors["standardizer/scale"] = model.standardizer.scale
    atomic.write_bytes(folder / WEIGHTS, to_bytes(tensors))
    frames, width = model.network.inputs[0].shape[1:]
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": asdict(model.config),
        "input": {"frames": int(frames), "width": int(width)},
        "calibration": asdict(model.calibration),
        "threshold": model.threshold,
        "fingerprint_id": model.fingerprint.id,
        "fingerprint": dict(model.fingerprint.fields),
        "extract_config": model.extract_config.to_dict(),
        **notes,
    }
    atomic.write_json(folder / DESCRIPTION, description)


def describe(folder: Path) -> dict[str, Any]:
    """What `model.json` says, once it is known to be of this format.

    Raises:
        RunError: There is no run in `folder`, or it cannot be read.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise RunError(f"no run in {folder}: it has no {DESCRIPTION}. `deepseq fit` makes one.")
    try:
        values = json.loads(path.read_text())
        kind = (values["format"], values["format_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error!r}") from error
    if kind != (FORMAT, FORMAT_VERSION):
        raise RunError(f"{path} is not of format {FORMAT} {FORMAT_VERSION}. Received: {kind}")
    return dict(values)


def load(folder: Path) -> SequenceModel:
    """Read a model back.

    Raises:
        RunError: Something in the run is missing, damaged or does not fit; says what.
    """
    values = describe(folder)
    try:
        config = ModelConfig(**values["model"])
        frames, width = int(values["input"]["frames"]), int(values["input"]["width"])
        calibration = PlattScaling(**{k: float(v) for k, v in values["calibration"].items()})
        threshold = float(values["threshold"])
        extract_config = ExtractConfig.from_dict(values["extract_config"])
        fingerprint = Fingerprint(values["fingerprint"])
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise RunError(f"{folder / DESCRIPTION} is damaged: {error!r}") from error
    if fingerprint.id != values.get("fingerprint_id"):
        raise RunError(f"{folder / DESCRIPTION} was altered: its fingerprint is not its own id")
    tensors = _read_tensors(folder / WEIGHTS)
    network = build_model(config, frames, width)
    names = [f"network/{variable.path}" for variable in network.weights]
    wanted = dict(zip(names, (tuple(v.shape) for v in network.weights), strict=True))
    wanted |= {"standardizer/mean": (width,), "standardizer/scale": (width,)}
    _check_tensors(folder / WEIGHTS, tensors, wanted)
    network.set_weights([tensors[name] for name in names])
    standardizer = Standardizer(tensors["standardizer/mean"], tensors["standardizer/scale"])
    return SequenceModel(
        config, network, standardizer, calibration, threshold, extract_config, fingerprint
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


def _read_tensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _check_tensors(
    path: Path, tensors: dict[str, npt.NDArray[np.float32]], wanted: dict[str, tuple[int, ...]]
) -> None:
    if tensors.keys() != wanted.keys():
        odd = sorted(tensors.keys() ^ wanted.keys())
        raise RunError(f"{path} does not hold the tensors of its model: {', '.join(odd[:4])}")
    for name, shape in wanted.items():
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise RunError(
                f"{path}: {name} must be finite float32 {shape}. "
                f"Received: {tensor.dtype} {tensor.shape}"
            )
