"""CNN and head: their sizes, trainable weights and outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn

from deepfake_seq.augment import Draw
from deepfake_seq.backend import load_keras
from deepfake_seq.config import BACKBONES, HEADS, BackboneConfig, FinetuneConfig, ModelConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.extract.backbones.finetuned_weights import FILE_NAME
from deepfake_seq.extract.backbones.keras import KerasRuntime
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE, backbone_of, build_keras_model
from deepfake_seq.finetune.augmentation import draw_rows, identity_row
from deepfake_seq.finetune.network import FinetunableCnn, build_head, with_input_size
from deepfake_seq.sequence.models.networks import unscaled

CNN_PARAMETERS = {
    "inception_v3": 21_802_784,
    "vgg16": 14_714_688,
    "resnet50": 23_587_712,
    "efficientnet_b1": 6_575_239,
}
HEAD_PARAMETERS = {
    ("dense", 2048): 565_761,
    ("dense", 512): 172_545,
    ("dense", 1280): 369_153,
    ("attention", 2048): 4_198_401,
    ("attention", 512): 263_169,
    ("attention", 1280): 1_640_961,
}
BATCH = 4


def tunable(name: str, head: str = "dense", **settings: Any) -> FinetunableCnn:
    row = BACKBONE_TABLE[name]
    config = FinetuneConfig(head=head, batch_size=BATCH, **settings)
    weights = BackboneConfig(name, "untrained")
    return FinetunableCnn(weights, replace(row, crop_size=row.smallest), None, config)


def tiny(name: str, home: Path, **settings: Any) -> FinetunableCnn:
    with tiny_cnn.in_place(home):
        return tunable(name, **settings)


@pytest.fixture(scope="module")
def vgg(tiny_home: Path) -> FinetunableCnn:
    return tiny("vgg16", tiny_home)


def crops(cnn: FinetunableCnn, count: int = BATCH) -> npt.NDArray[np.uint8]:
    side = cnn.row.crop_size
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def step(cnn: FinetunableCnn, draws: npt.NDArray[np.float32] | None = None) -> float:
    plain = np.tile(identity_row(), (BATCH, 1))
    labels, weights = np.arange(BATCH) % 2, np.ones(BATCH, np.float32)
    return cnn.step(crops(cnn), plain if draws is None else draws, labels, weights)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "inception_v3")) for name in BACKBONES],
)
def test_each_cnn_with_each_head_has_the_expected_number_of_parameters(
    name: str, head: str
) -> None:
    row = BACKBONE_TABLE[name]
    built = build_head(head, (1, 1, row.width), 0.3)
    assert built.count_params() == HEAD_PARAMETERS[head, row.width]
    cnn = build_keras_model(replace(row, crop_size=row.smallest), None)
    assert cnn.count_params() == CNN_PARAMETERS[name]


def test_the_attention_head_equals_its_form_on_pooled_features() -> None:
    """The paper's head pools the maps twice; pooled features give the same logits."""
    head = build_head("attention", (3, 3, 24), 0.3)
    generator = np.random.default_rng(0)
    for variable in head.weights:
        variable.assign(generator.normal(size=variable.shape).astype(np.float32))
    weights = {variable.path: np.asarray(variable) for variable in head.weights}
    maps = generator.normal(size=(5, 3, 3, 24)).astype(np.float32)
    features = maps.mean(axis=(1, 2))[:, None]
    mask = np.ones((5, 1), dtype=np.bool_)
    logits = np.asarray(head(maps))[:, 0]
    assert np.ptp(logits) > 1
    named = {name.replace("frame_logit", "logit"): value for name, value in weights.items()}
    for config, tensors in (("frame_attention", weights), ("attention", named)):
        pooled = unscaled(ModelConfig(config), 24, tensors).logits((features, mask))
        np.testing.assert_allclose(pooled, logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_the_sequence_model_averages_the_head_over_the_frames(head: str) -> None:
    built = build_head(head, (2, 2, 16), 0.3)
    maps = np.random.default_rng(0).normal(size=(6, 2, 2, 16)).astype(np.float32)
    network = unscaled(ModelConfig(HEADS[head]), 16, {o.path: np.asarray(o) for o in built.weights})
    features = maps.mean(axis=(1, 2)).reshape(2, 3, 16)
    logits = network.logits((features, np.ones((2, 3), dtype=np.bool_)))
    expected = np.asarray(built(maps)).reshape(2, 3).mean(axis=1)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("unfrozen", [0, 2])
def test_only_unfrozen_layers_are_trained(vgg: FinetunableCnn, unfrozen: int) -> None:
    vgg.begin_phase(unfrozen, 1e-3)
    layers = vgg._cnn.layers
    before = [layer.get_weights() for layer in layers]
    head = vgg.head.get_weights()
    for _ in range(2):
        step(vgg)
    for number, (layer, old) in enumerate(zip(reversed(layers), reversed(before), strict=True)):
        for new, was in zip(layer.get_weights(), old, strict=True):
            assert np.array_equal(new, was) == (number >= unfrozen)
    assert not all(map(np.array_equal, vgg.head.get_weights(), head))


@pytest.mark.parametrize("size", ["tiny", pytest.param("real", marks=pytest.mark.slow)])
def test_batch_normalisation_stays_frozen(size: str, tiny_home: Path) -> None:
    cnn = tiny("inception_v3", tiny_home) if size == "tiny" else tunable("inception_v3")
    keras = load_keras()
    cnn.begin_phase(cnn.layers, 1e-4)
    norms = [
        layer for layer in cnn._cnn.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == {"tiny": 1, "real": 94}[size]
    before = [norm.get_weights() for norm in norms]
    others = [layer.get_weights() for layer in cnn._cnn.layers if layer.name.startswith("conv2d")]
    step(cnn)
    for norm, old in zip(norms, before, strict=True):
        assert all(map(np.array_equal, norm.get_weights(), old))
    moved = [layer.get_weights() for layer in cnn._cnn.layers if layer.name.startswith("conv2d")]
    assert not any(np.array_equal(new[0], old[0]) for new, old in zip(moved, others, strict=True))


def test_an_image_is_augmented_by_its_draw(vgg: FinetunableCnn) -> None:
    """The loss of a step is that of the augmented images."""
    vgg.begin_phase(0, 1e-9)
    flipped = draw_rows([Draw(0.0, 0.0, 1.0, True, 1.0, 0.0)] * BATCH)
    plain, mirrored = step(vgg), step(vgg, flipped)
    assert plain != pytest.approx(mirrored, rel=1e-4)


def test_rows_of_weight_0_change_nothing(vgg: FinetunableCnn) -> None:
    vgg.begin_phase(0, 1e-3)
    start = vgg.weights
    plain = np.tile(identity_row(), (BATCH, 1))
    weights = np.array([1, 1, 1, 0], dtype=np.float32)
    results = []
    for junk in (0, 1):
        vgg.weights = start
        vgg.begin_phase(0, 1e-3)
        vgg.seed_dropout(5)
        images = crops(vgg)
        images[3] *= np.uint8(junk)
        loss = vgg.step(images, plain, np.array([0, 1, 0, 1]), weights)
        results.append((loss, vgg.head.get_weights()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_dropout_of_an_epoch_depends_on_its_seed(vgg: FinetunableCnn) -> None:
    start = vgg.weights
    losses = []
    for seed in (1, 1, 2):
        vgg.weights = start
        vgg.begin_phase(0, 1e-3)
        vgg.seed_dropout(seed)
        losses.append([step(vgg), step(vgg)])
    assert losses[0] == losses[1] != losses[2]


def test_a_saved_cnn_gives_the_same_features_when_it_is_loaded(
    vgg: FinetunableCnn, tmp_path: Path, tiny_home: Path
) -> None:
    vgg.begin_phase(vgg.layers, 1e-3)
    step(vgg)
    path = tmp_path / FILE_NAME
    vgg.save_cnn(path)
    with tiny_cnn.in_place(tiny_home):
        runtime = KerasRuntime(BackboneConfig("vgg16", str(path)), path)
    expected = vgg.features(crops(vgg, 7))
    assert expected.shape == (7, 512) and expected.any()
    np.testing.assert_allclose(runtime.features(crops(vgg, 7)), expected, rtol=1e-4, atol=1e-3)
    assert backbone_of("vgg16", path).crop_size == vgg.row.crop_size


def test_mixed_precision_keeps_weights_features_and_logits_in_float32(tiny_home: Path) -> None:
    cnn = tiny("vgg16", tiny_home, precision="bfloat16")
    cnn.begin_phase(2, 1e-4)
    assert np.isfinite(step(cnn))
    assert {array.dtype for array in cnn.weights} == {np.dtype(np.float32)}
    assert cnn.features(crops(cnn)).dtype == np.float32
    assert load_keras().config.dtype_policy().name == "float32"


def test_float16_training_scales_the_loss(tiny_home: Path) -> None:
    cnn = tiny("vgg16", tiny_home, precision="float16")
    cnn.begin_phase(cnn.layers, 1e-4)
    assert any("scale" in variable.path for variable in cnn._model.optimizer.variables)
    step(cnn)
    state = cnn.optimizer_state
    cnn.begin_phase(cnn.layers, 1e-4)
    cnn.optimizer_state = state
    for array, other in zip(cnn.optimizer_state, state, strict=True):
        np.testing.assert_array_equal(array, other)


def test_an_input_size_too_small_for_the_cnn_is_refused() -> None:
    row = BACKBONE_TABLE["inception_v3"]
    assert with_input_size("inception_v3", row, 0) == row
    assert with_input_size("inception_v3", row, 96).crop_size == 96
    with pytest.raises(UsageError, match="at least 75 pixels"):
        with_input_size("inception_v3", row, 64)
