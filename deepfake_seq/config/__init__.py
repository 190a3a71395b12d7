"""Every setting, its default and its range, in one place.

The classes are frozen and check themselves: a value out of range raises `UsageError` when the
object is made. `ExtractConfig` travels with every trained model, so that `predict` treats a clip
exactly as the training clips were treated.
"""

from deepfake_seq.config.execution import ENGINES, RUNTIMES, ExecutionConfig, LimitsConfig
from deepfake_seq.config.extraction import (
    BACKBONES,
    DETECTORS,
    IMAGENET,
    PEOPLE,
    PRECISIONS,
    SAMPLERS,
    SHARD_RECORDS,
    UNTRAINED,
    BackboneConfig,
    ExtractConfig,
    FaceConfig,
    SamplingConfig,
)
from deepfake_seq.config.learning import (
    BALANCES,
    INPUTS,
    MIN_VALID_FRAMES,
    MODELS,
    RECURRENT,
    RECURRENT_UNITS,
    SPLITS,
    THRESHOLDS,
    TRAINING_MEMORY_BYTES,
    DecisionConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
    default_inputs,
    read_units,
    write_units,
)
from deepfake_seq.config.sweep import (
    LISTS,
    MOST_SETTINGS,
    RANGES,
    STRATEGIES,
    SWEPT_MODELS,
    SweepConfig,
)

__all__ = [
    "BACKBONES",
    "BALANCES",
    "DETECTORS",
    "ENGINES",
    "IMAGENET",
    "INPUTS",
    "LISTS",
    "MIN_VALID_FRAMES",
    "MODELS",
    "MOST_SETTINGS",
    "PEOPLE",
    "PRECISIONS",
    "RANGES",
    "RECURRENT",
    "RECURRENT_UNITS",
    "RUNTIMES",
    "SAMPLERS",
    "SHARD_RECORDS",
    "SPLITS",
    "STRATEGIES",
    "SWEPT_MODELS",
    "THRESHOLDS",
    "TRAINING_MEMORY_BYTES",
    "UNTRAINED",
    "BackboneConfig",
    "DecisionConfig",
    "ExecutionConfig",
    "ExtractConfig",
    "FaceConfig",
    "LimitsConfig",
    "ModelConfig",
    "SamplingConfig",
    "SplitConfig",
    "SweepConfig",
    "TrainConfig",
    "default_inputs",
    "read_units",
    "write_units",
]
