"""Compilation of networks for the CPU with OpenVINO, in exactly the requested precision."""

from __future__ import annotations

from typing import Any

from deepfake_seq.errors import EngineError

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def settings(precision: str) -> dict[str, str]:
    """Return OpenVINO's settings for high throughput in the given precision.

    Args:
        precision: One of `config.PRECISIONS`.
    """
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
    }


def compile_for_throughput(core: Any, model: Any, precision: str) -> Any:
    """Compile a model for the CPU; return an `openvino.CompiledModel`.

    Raises:
        EngineError: The CPU does not support the precision.
        RuntimeError: OpenVINO cannot compile the model.
    """
    compiled = core.compile_model(model, "CPU", settings(precision))
    require_precision(compiled, precision)
    return compiled


def require_precision(compiled: Any, precision: str) -> None:
    """Raise `EngineError` if OpenVINO has chosen another precision."""
    actual = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if actual != _PRECISIONS[precision]:
        raise EngineError(
            f"this CPU does not support precision {precision} (OpenVINO chose {actual}). "
            "Use --precision float32."
        )
