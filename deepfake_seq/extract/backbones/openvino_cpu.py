"""Compilation of networks for the CPU with OpenVINO, in exactly the requested precision."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from deepfake_seq.errors import EngineError

_LOG = logging.getLogger(__name__)

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8": "f32"}
"""OpenVINO's names. An int8 network says itself what it rounds; the rest of it is float32."""

_INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
"""Names in Linux's list of CPU features of the instructions for sums of int8 products."""


def settings(precision: str) -> dict[str, str]:
    """Return OpenVINO's settings for high throughput in the given precision.

    Args:
        precision: One of `config.PRECISIONS`.
    """
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
    }


@cache
def warn_if_int8_is_slow() -> None:
    """Print a warning, once, if the CPU lacks instructions for int8; elsewhere than on Linux, not.

    It then computes the same features up to rounding.
    """
    try:
        features = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return
    if not features & _INT8_FLAGS:
        _LOG.warning(
            "this CPU has no instructions for int8 (VNNI or AMX): --precision int8 works, but is "
            "about half as fast as with them"
        )


def compile_for_throughput(
    core: Any, model: Any, precision: str, option: str = "--precision"
) -> Any:
    """Compile a model for the CPU; return an `openvino.CompiledModel`.

    Args:
        core: An `openvino.Core`.
        model: The `openvino.Model`.
        precision: One of `config.PRECISIONS`.
        option: The command-line option that sets the precision, for the message.

    Raises:
        EngineError: The CPU does not support the precision.
        RuntimeError: OpenVINO cannot compile the model.
    """
    compiled = core.compile_model(model, "CPU", settings(precision))
    require_precision(compiled, precision, option)
    return compiled


def require_precision(compiled: Any, precision: str, option: str = "--precision") -> None:
    """Raise `EngineError` if OpenVINO has chosen another precision."""
    actual = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if actual != _PRECISIONS[precision]:
        raise EngineError(
            f"this CPU does not support precision {precision} (OpenVINO chose {actual}). "
            f"Use {option} float32."
        )
