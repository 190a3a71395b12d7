from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from deepfake_seq import config
from deepfake_seq.config.setting import SettingSpec
from deepfake_seq.errors import UsageError
from deepfake_seq.untrusted import convert


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (config.SamplingConfig, {"frames": 0}),
        (config.SamplingConfig, {"frames": 257}),
        (config.SamplingConfig, {"strategy": "random"}),
        (config.FaceConfig, {"detector": "haar"}),
        (config.FaceConfig, {"margin": -0.1}),
        (config.FaceConfig, {"margin": float("nan")}),
        (config.FaceConfig, {"short_side": 10}),
        (config.FaceConfig, {"detector": "mtcnn", "detector_weights": "x.onnx"}),
        (config.BackboneConfig, {"name": "resnet18"}),
        (config.BackboneConfig, {"precision": "float64"}),
        (config.ExecutionConfig, {"workers": -1}),
        (config.ExecutionConfig, {"runtime": "tensorrt"}),
        (config.ModelConfig, {"dropout": 1.0}),
        (config.ModelConfig, {"name": "transformer"}),
        (config.TrainConfig, {"epochs": 0}),
        (config.TrainConfig, {"learning_rate": 0.0}),
        (config.TrainConfig, {"seed": -1}),
        (config.TrainConfig, {"balance": ("alpha", "luck")}),
        (config.TrainConfig, {"members": 101}),
        (config.SplitConfig, {"validation": 0.0}),
        (config.SplitConfig, {"validation": 0.6, "test": 0.4}),
        (config.SplitConfig, {"strategy": "random"}),
        (config.SplitConfig, {"seed": 2**32}),
        (config.DecisionConfig, {"threshold": "0.5"}),
        (config.DecisionConfig, {"target_fpr": 0.0}),
        (config.ModelConfig, {"inputs": "pixels"}),
        (config.ModelConfig, {"name": "dense", "bidirectional": True}),
        (config.ModelConfig, {"bidirectional": 1}),
        (config.ModelConfig, {"name": "logistic", "shuffle_frames": True}),
        (config.ModelConfig, {"units": ()}),
        (config.ModelConfig, {"units": (0,)}),
        (config.ModelConfig, {"units": (513,)}),
        (config.ModelConfig, {"units": (1, 1, 1, 1, 1)}),
        (config.ModelConfig, {"units": [64, 32]}),
        (config.ModelConfig, {"name": "dense", "units": (8,)}),
    ],
)
def test_a_value_out_of_range_is_refused(kind: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"Received: .+$"):
        kind(**changes)


def test_settings_are_plain_frozen_dataclasses() -> None:
    """Stores and runs contain the fields, so their order and defaults must not change."""
    assert asdict(config.ExtractConfig()) == {
        "sampling": {"strategy": "uniform", "frames": 16},
        "faces": {
            "detector": "retinaface",
            "detector_weights": None,
            "short_side": 360,
            "margin": 0.3,
            "people": "largest",
            "image_format": "webp",
            "detect": "windows",
            "precision": "float32",
        },
        "backbone": {"name": "inception_v3", "weights": "imagenet", "precision": "float32"},
    }
    with pytest.raises(FrozenInstanceError):
        config.ModelConfig().name = "lstm"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"low": 1, "high": 256}, "from 1 to 256"),
        ({"low": 1, "unit": "bytes"}, "1 bytes or more"),
        ({"low": 0, "below": 1}, "at least 0 and below 1"),
        ({"above": 0, "high": 1, "unit": "seconds"}, "above 0 and at most 1 seconds"),
        ({}, ""),
    ],
)
def test_a_range_is_described_in_words(limits: dict[str, Any], text: str) -> None:
    described = SettingSpec(help="Number of things.", **limits)
    assert described.range_text == text
    assert described.help_text == (f"Number of things ({text})." if text else "Number of things.")


def test_a_value_for_the_default_is_permitted_outside_the_range() -> None:
    assert config.ExecutionConfig(workers=0).workers == 0
    with pytest.raises(UsageError, match=r"from 1 to 256, or 0 for the default. Received: 257"):
        config.ExecutionConfig(workers=257)


def test_an_error_has_the_unit_of_the_option() -> None:
    with pytest.raises(UsageError, match=r"to 65536 GiB, or 0 for the default. Received: 0.25"):
        config.LimitsConfig(memory_bytes=2**28)


@pytest.mark.parametrize("text", ["", "64;32", "64,", "64.5", "x"])
def test_a_text_that_lists_no_units_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"such as 64,32,16. Received: '{text}'"):
        config.read_units(text)


def test_model_settings_are_read_from_json_also_without_units() -> None:
    settings = config.ModelConfig("lstm", units=(12, 6))
    assert convert(json.loads(json.dumps(asdict(settings))), config.ModelConfig) == settings
    old = {key: value for key, value in asdict(config.ModelConfig()).items() if key != "units"}
    assert convert(old, config.ModelConfig) == config.ModelConfig(units=(64, 32, 16))


def test_extraction_settings_are_read_from_json() -> None:
    settings = config.ExtractConfig(
        sampling=config.SamplingConfig(frames=8),
        faces=config.FaceConfig(detector="yunet", detector_weights="/x.onnx", margin=0.5),
        backbone=config.BackboneConfig(weights="untrained", precision="bfloat16"),
    )
    assert config.ExtractConfig.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize("detector", config.DETECTORS)
def test_windows_are_the_default_of_retinaface_only(detector: str) -> None:
    expected = "windows" if detector in config.RETINAFACES else "every-frame"
    assert config.FaceConfig(detector).detect == expected


def test_settings_from_before_windows_search_every_frame() -> None:
    values = config.ExtractConfig().to_dict()
    del values["faces"]["detect"]
    assert config.ExtractConfig.from_dict(values).faces.detect == "every-frame"


def test_detectors_have_the_precision_of_the_cnn_by_default() -> None:
    for precision in ("float32", "bfloat16", "int8"):
        cnn = config.BackboneConfig(precision=precision)
        assert config.ExtractConfig(backbone=cnn).faces.precision == precision
        chosen = config.ExtractConfig(faces=config.FaceConfig(precision="float32"), backbone=cnn)
        assert chosen.faces.precision == "float32"
        other = config.ExtractConfig(faces=config.FaceConfig("yunet"), backbone=cnn)
        assert other.faces.precision is None


def test_settings_from_before_the_precision_of_detectors_have_that_of_the_cnn() -> None:
    values = config.ExtractConfig(backbone=config.BackboneConfig(precision="bfloat16")).to_dict()
    del values["faces"]["precision"]
    assert config.ExtractConfig.from_dict(values).faces.precision == "bfloat16"


def test_a_detector_that_knows_only_float32_takes_no_precision() -> None:
    with pytest.raises(UsageError, match=r"yunet always computes in float32.* Received: 'int8'"):
        config.FaceConfig("yunet", precision="int8")


def test_the_whole_frame_is_not_searched_in_windows() -> None:
    with pytest.raises(UsageError, match=r"--detect must be every-frame. Received: 'windows'"):
        config.FaceConfig("none", detect="windows")


@pytest.mark.parametrize("broken", [{}, {"sampling": {"fps": 3}, "faces": {}, "backbone": {}}])
def test_settings_with_unknown_or_missing_keys_are_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not extraction settings"):
        config.ExtractConfig.from_dict(broken)
