"""deepseq: tell real face videos from deepfakes. Extract once, experiment in seconds.

In a notebook: `from deepfake_seq import FeatureStore, SequenceClassifier`.
"""

from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "FeatureStore": "deepfake_seq.store",
    "SequenceClassifier": "deepfake_seq.sequence.classifier",
}


def __getattr__(name: str) -> Any:
    """Import the public classes on first use, because their imports take seconds."""
    from importlib import import_module

    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
