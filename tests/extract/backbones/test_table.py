"""The table of CNNs, their preprocessing and their weights."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfake_seq.config import BACKBONES
from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE, build_keras_model, preprocess

MODULES = {
    "inception_v3": "inception_v3",
    "vgg16": "vgg16",
    "resnet50": "resnet",
    "efficientnet_b1": "efficientnet",
}
FAST_THEN_SLOW = [
    "inception_v3",
    *(pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES if name != "inception_v3"),
]


@pytest.fixture(scope="module")
def inception() -> Any:
    return build_keras_model(BACKBONE_TABLE["inception_v3"], None)


def test_every_backbone_of_the_settings_is_in_the_table() -> None:
    assert set(BACKBONE_TABLE) == set(BACKBONES)


@pytest.mark.parametrize("name", BACKBONES)
def test_preprocessing_equals_that_of_keras(name: str) -> None:
    module = importlib.import_module(f"keras.applications.{MODULES[name]}")
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    prepared = preprocess(images, BACKBONE_TABLE[name].inputs)
    assert prepared.dtype == np.float32
    expected = module.preprocess_input(images.astype(np.float32), data_format="channels_last")
    np.testing.assert_allclose(prepared, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", FAST_THEN_SLOW)
def test_the_table_matches_the_networks(name: str, request: pytest.FixtureRequest) -> None:
    if name == "inception_v3":
        model = request.getfixturevalue("inception")
    else:
        model = build_keras_model(BACKBONE_TABLE[name], None)
    row = BACKBONE_TABLE[name]
    assert model.input_shape == (None, row.crop_size, row.crop_size, 3)
    assert model.output_shape == (None, row.width)
    assert not model.trainable_weights
    maps = {8: (row.fine_layer, row.fine_width), 16: (row.late_layer, row.late_width)}
    for reduction, (layer, width) in maps.items():
        _, rows, columns, channels = model.get_layer(layer).output.shape
        assert (rows, channels) == (columns, width)
        assert rows == pytest.approx(row.crop_size / reduction, rel=0.1)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_crop_size_is_the_default_input_size_of_the_network(name: str) -> None:
    import inspect

    module, _, function = BACKBONE_TABLE[name].application.rpartition(".")
    application = getattr(importlib.import_module(module), function)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect.getmodule(application), "imagenet_utils", Stopper())
        with pytest.raises(Stopped) as caught:
            application(weights=None)
    assert caught.value.args[0] == BACKBONE_TABLE[name].crop_size


class Stopped(Exception):  # noqa: N818 - not an error, only ends the call
    """Carries the default size of a network's input."""


class Stopper:
    """Replaces `imagenet_utils`, and raises `Stopped` with the default input size."""

    def obtain_input_shape(self, *_: object, default_size: int, **__: object) -> None:
        raise Stopped(default_size)


def test_untrained_weights_are_reproducible_and_not_zero(inception: Any) -> None:
    again = build_keras_model(BACKBONE_TABLE["inception_v3"], None).get_weights()
    for value, other in zip(inception.get_weights(), again, strict=True):
        np.testing.assert_array_equal(value, other)
    kernels = [variable for variable in inception.weights if "kernel" in variable.path]
    assert len(kernels) == 94
    assert all(np.std(kernel.numpy()) > 0 for kernel in kernels)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_untrained_features_fit_into_the_cache(name: str, portrait_rgb: Any) -> None:
    import cv2

    row = BACKBONE_TABLE[name]
    crop = cv2.resize(portrait_rgb, (row.crop_size, row.crop_size))
    model = build_keras_model(BACKBONE_TABLE[name], None)
    features = np.asarray(model.predict_on_batch(preprocess(crop[None], row.inputs)))
    assert np.abs(features).max() < np.finfo(np.float16).max
    assert features.std() > 0


@pytest.mark.slow
def test_saved_weights_are_read_back(inception: Any, tmp_path: Path) -> None:
    path = tmp_path / "inception.weights.h5"
    changed = [value + np.float32(0.5) for value in inception.get_weights()]
    other = build_keras_model(BACKBONE_TABLE["inception_v3"], None)
    other.set_weights(changed)
    other.save_weights(path)
    read = build_keras_model(BACKBONE_TABLE["inception_v3"], path).get_weights()
    assert all(np.array_equal(value, was) for value, was in zip(read, changed, strict=True))


def test_a_file_without_weights_is_a_weights_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.h5"
    path.write_text("not HDF5")
    with pytest.raises(
        WeightsError, match=r"wrong\.h5 does not contain the weights of InceptionV3"
    ):
        build_keras_model(BACKBONE_TABLE["inception_v3"], path)


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_the_weights_of_another_network_are_a_weights_error(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "other.weights.h5"
    layers = [keras.Input((4,)), keras.layers.Dense(2)]
    keras.Sequential(layers).save_weights(path)
    with pytest.raises(WeightsError, match=r"other\.weights\.h5") as caught:
        build_keras_model(BACKBONE_TABLE["inception_v3"], path)
    assert len(str(caught.value).splitlines()) == 1
