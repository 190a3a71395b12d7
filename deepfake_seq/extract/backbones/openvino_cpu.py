"""Networks on the CPU by OpenVINO, in the precision that is asked for or not at all."""

from __future__ import annotations

from typing import Any

from deepfake_seq.errors import EngineError

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def settings(precision: str) -> dict[str, str]:
    """OpenVINO's settings: many images side by side, each as if it were alone.

    Args:
        precision: One of `config.PRECISIONS`.
    """
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
    }


def compile_for_throughput(core: Any, model: Any, precision: str) -> Any:
    """An `openvino.CompiledModel` for the CPU.

    Raises:
        EngineError: The CPU does not compute in that precision.
        RuntimeError: OpenVINO cannot run the network.
    """
    compiled = core.compile_model(model, "CPU", settings(precision))
    require_precision(compiled, precision)
    return compiled


def require_precision(compiled: Any, precision: str) -> None:
    """Raise `EngineError` where OpenVINO has chosen another precision."""
    in_force = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if in_force != _PRECISIONS[precision]:
        raise EngineError(
            f"this CPU does not compute in {precision} (OpenVINO chose {in_force}). "
            "Use --precision float32."
        )
