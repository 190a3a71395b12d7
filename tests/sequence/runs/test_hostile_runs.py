"""Hostile run directories are refused by file name; nothing is executed or opened outside."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from deepfake_seq.config import ExtractConfig, ModelConfig
from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data.dataset import Clip
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.models.networks import LogisticNetwork
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.store import Fingerprint

FRAMES, WIDTH = 16, 4
MODEL, WEIGHTS = run.DESCRIPTION, run.WEIGHTS
NOTES = {
    "created": "2026-01-01T00:00:00+00:00",
    "parameters": {"total": 9, "trainable": 9},
    "split": {"train": 60, "validation": 40},
    "warnings": ["Only 100 clips"],
}
Harm = Callable[[Path], object]


def small_model() -> SequenceModel:
    """Make a model that needs no framework."""
    weights = np.linspace(-1, 1, 2 * WIDTH, dtype=np.float32)
    return SequenceModel(
        ModelConfig("logistic"),
        (LogisticNetwork("features", weights, np.zeros(1, np.float32)),),
        (FRAMES, WIDTH),
        PlattScaling(),
        Decision(0.5, (0.4, 0.6), "fpr", 0.05, 0.0, {"real": 20, "fake": 20}, True, {"fpr": 0.5}),
        "test data",
        ExtractConfig(),
        Fingerprint({"faces": {"detector": "none"}}),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    run.save(path, small_model(), NOTES)
    split_file.write_split(path, {"train": {}})
    return path


def test_the_unaltered_run_is_readable(folder: Path) -> None:
    model = run.load(folder)
    features = np.random.default_rng(0).normal(size=(3, FRAMES, WIDTH)).astype(np.float16)
    arrays = (features, np.ones((3, FRAMES), bool))
    assert np.array_equal(model.scores_of(arrays), small_model().scores_of(arrays))


def test_the_title_of_a_run_defaults_to_that_of_its_model(folder: Path) -> None:
    assert small_model().title == run.load(folder).title == "logistic"
    assert "title" not in json.loads((folder / MODEL).read_text())
    titled = replace(small_model(), title="inception_v3-dense")
    run.save(folder, titled, NOTES)
    assert run.load(folder).title == run.describe(folder).title == "inception_v3-dense"
    run.save(folder, small_model(), {**NOTES, "title": "from the notes"})
    assert run.load(folder).title == "from the notes"


def described(change: Callable[[dict[str, Any]], object]) -> Harm:
    """Change the content of `model.json`."""

    def harm(folder: Path) -> None:
        values = json.loads((folder / MODEL).read_text())
        change(values)
        (folder / MODEL).write_text(json.dumps(values))

    return harm


def setting(*path: str, to: Any) -> Harm:
    """Replace one value of `model.json`."""

    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = to

    return described(change)


def tensor(name: str, value: np.ndarray) -> Harm:
    """Replace or add one tensor."""

    def harm(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        save_file({**tensors, name: value}, folder / WEIGHTS)

    return harm


def content(name: str, value: bytes) -> Harm:
    return lambda folder: (folder / name).write_bytes(value)


def elsewhere(name: str) -> Harm:
    """Replace a file by a link to an intact copy outside the run."""

    def harm(folder: Path) -> None:
        outside = folder.parent / "outside"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return harm


def pipe(name: str) -> Harm:
    def harm(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return harm


def sparse(name: str, size: int) -> Harm:
    def harm(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.truncate(size)

    return harm


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def header(text: bytes, claimed: int | None = None) -> bytes:
    """Make a safetensors file with the given header."""
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text


OUTSIDE = b'{"x":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}'
HUGE = b'{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}'
HARMS: dict[str, tuple[str, Harm]] = {
    "absolute detector path": (
        MODEL,
        setting("extract_config", "faces", "detector_weights", to="/etc/passwd"),
    ),
    "detector path upwards": (
        MODEL,
        setting("extract_config", "faces", "detector_weights", to="../../secret.onnx"),
    ),
    "absolute CNN path": (MODEL, setting("extract_config", "backbone", "weights", to="/dev/zero")),
    "CNN path upwards": (MODEL, setting("extract_config", "backbone", "weights", to="../x.h5")),
    "a URL for weights": (
        MODEL,
        setting("extract_config", "backbone", "weights", to="http://127.0.0.1/x.h5"),
    ),
    "unknown setting": (MODEL, setting("extract_config", "faces", "run_this", to="rm")),
    "setting out of range": (MODEL, setting("extract_config", "sampling", "frames", to=10**9)),
    "unknown model": (MODEL, setting("model", "name", to="os.system")),
    "model settings of another kind": (MODEL, setting("model", to=["gru"])),
    "units beyond memory": (MODEL, setting("model", to={"name": "gru", "units": [10**9] * 3})),
    "layers without end": (MODEL, setting("model", to={"name": "gru", "units": [1] * 5000})),
    "no units at all": (MODEL, setting("model", to={"name": "gru", "units": []})),
    "units that are true": (MODEL, setting("model", to={"name": "gru", "units": [True]})),
    "units that are a number": (MODEL, setting("model", to={"name": "gru", "units": 64})),
    "units of another model": (WEIGHTS, setting("model", to={"name": "gru", "units": [512] * 4})),
    "huge input": (MODEL, setting("input", "width", to=10**12)),
    "negative input": (MODEL, setting("input", "frames", to=-1)),
    "input that is no number": (MODEL, setting("input", "frames", to="16")),
    "many members": (MODEL, setting("members", to=10**9)),
    "more members than tensors": (WEIGHTS, setting("members", to=2)),
    "calibration that is no number": (MODEL, setting("calibration", "slope", to="1e3")),
    "calibration beyond numbers": (MODEL, setting("calibration", "slope", to=10**400)),
    "threshold that is no number": (MODEL, setting("decision", "threshold", to=[0.5])),
    "band turned round": (MODEL, setting("decision", "band", to=[0.9, 0.1])),
    "NaN in the JSON": (MODEL, content(MODEL, b'{"format": "deepseq-run", "x": NaN}')),
    "a number beyond all numbers": (
        MODEL,
        content(MODEL, b'{"format": "deepseq-run", "format_version": 1e999}'),
    ),
    "an endless number": (MODEL, content(MODEL, b'{"format": ' + b"9" * 400 + b"}")),
    "a rule that there is not": (MODEL, setting("decision", "rule", to="always fake")),
    "clips that are a list": (MODEL, setting("decision", "clips", to=[])),
    "warnings that are a number": (MODEL, setting("warnings", to=5)),
    "attention beyond memory": (
        WEIGHTS,
        described(
            lambda values: values.update(
                model={**values["model"], "name": "attention", "inputs": "both"},
                input={"frames": 16, "width": 65_536},
            )
        ),
    ),
    "a numeric title": (MODEL, setting("title", to=5)),
    "a null title": (MODEL, setting("title", to=None)),
    "an empty title": (MODEL, setting("title", to="")),
    "a title on two lines": (MODEL, setting("title", to="gru\nthreshold: 0.1")),
    "a title that reverses the text direction": (MODEL, setting("title", to="gru \u202e")),
    "a title with colours": (MODEL, setting("title", to="\x1b[31mgru")),
    "a title that is too long": (MODEL, setting("title", to="g" * 81)),
    "altered fingerprint": (MODEL, setting("fingerprint", "faces", to={"detector": "mtcnn"})),
    "a fingerprint that is a number": (MODEL, setting("fingerprint", to=3)),
    "another format": (MODEL, setting("format", to="keras")),
    "a later format": (MODEL, setting("format_version", to=99)),
    "truncated JSON": (MODEL, content(MODEL, b"{")),
    "deeply nested JSON": (MODEL, content(MODEL, b"[" * 200_000)),
    "a description that is a list": (MODEL, content(MODEL, b"[]")),
    "a description that is not text": (MODEL, content(MODEL, b"\xff\xfe\x00")),
    "a huge description": (MODEL, sparse(MODEL, 1 << 40)),
    "a linked description": (MODEL, elsewhere(MODEL)),
    "a description that is a pipe": (MODEL, pipe(MODEL)),
    "a pickle": (WEIGHTS, content(WEIGHTS, pickle.dumps(Bomb()))),
    "linked weights": (WEIGHTS, elsewhere(WEIGHTS)),
    "weights that are a pipe": (WEIGHTS, pipe(WEIGHTS)),
    "huge weights": (WEIGHTS, sparse(WEIGHTS, 1 << 40)),
    "a header beyond the file": (WEIGHTS, content(WEIGHTS, header(b"{}", 1 << 60))),
    "a tensor beyond the file": (WEIGHTS, content(WEIGHTS, header(OUTSIDE) + bytes(4))),
    "a tensor beyond memory": (WEIGHTS, content(WEIGHTS, header(HUGE) + bytes(4))),
    "no weights": (WEIGHTS, lambda folder: (folder / WEIGHTS).unlink()),
    "empty weights": (WEIGHTS, content(WEIGHTS, b"")),
    "NaN weights": (WEIGHTS, tensor("member_0/logistic/bias", np.full(1, np.nan, np.float32))),
    "infinite weights": (WEIGHTS, tensor("member_0/logistic/bias", np.full(1, np.inf, np.float32))),
    "foreign shape": (WEIGHTS, tensor("member_0/logistic/weights", np.zeros(9, np.float32))),
    "foreign dtype": (WEIGHTS, tensor("member_0/logistic/bias", np.zeros(1))),
    "an extra tensor": (WEIGHTS, tensor("member_0/../../x", np.zeros(1, np.float32))),
    "a tensor of another run": (WEIGHTS, tensor("member_7/logistic/bias", np.zeros(1, np.float32))),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_hostile_run_is_refused_with_the_name_of_the_file(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    opened: list[str] = []
    really = os.open

    def noted(path: Any, *arguments: Any, **options: Any) -> int:
        opened.append(os.fspath(path))
        return really(path, *arguments, **options)

    file, harm = HARMS[name]
    harm(folder)
    monkeypatch.setattr(os, "open", noted)
    with pytest.raises(RunError, match=f"run/{file}"):
        run.load(folder)
    assert opened and all(Path(path).parent == folder for path in opened)
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("harm", "place"),
    [
        (
            setting("decision", "threshold", to="0.5"),
            "got `str` - at `$.decision.threshold`",
        ),
        (setting("decision", "band", to=[0.4]), "length 2, got 1 - at `$.decision.band`"),
        (setting("decision", "clips", to={"real": 5}), "`fake` - at `$.decision.clips`"),
        (setting("decision", "veto", to=1), "Unknown key 'veto' - at `$.decision`"),
        (setting("model", "layers", to=9), "Unknown key 'layers' - at `$.model`"),
        (
            setting("calibration", "slope", to=-1),
            ">= 0.0 - at `$.calibration.slope`",
        ),
        (setting("input", "width", to=65_537), "Expected `int` <= 65536 - at `$.input.width`"),
        (setting("members", to=True), "Expected `int`, got `bool` - at `$.members`"),
        (
            setting("parameters", "total", to=2.5),
            "got `float` - at `$.parameters.total`",
        ),
        (setting("warnings", to=["few", 5]), "Expected `str`, got `int` - at `$.warnings[1]`"),
        (setting("format_version", to=1), "Invalid enum value 1 - at `$.format_version`"),
        (described(lambda values: values.pop("created")), "missing required field `created`"),
        (setting("fingerprint_id", to="0" * 12), "the fingerprint does not match its id"),
    ],
)
def test_a_refusal_is_one_line_with_place_and_remedy(harm: Harm, place: str, folder: Path) -> None:
    harm(folder)
    with pytest.raises(RunError) as caught:
        run.describe(folder)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{folder / MODEL} ") and place in line
    assert "Train the run again with `deepseq fit`" in line


def test_further_keys_are_ignored(folder: Path) -> None:
    setting("laboratory", to={"room": 5})(folder)
    assert run.load(folder).title == "logistic"


def test_a_model_is_loaded_as_saved(folder: Path) -> None:
    loaded, saved = run.load(folder), small_model()
    assert loaded.decision == saved.decision and loaded.calibration == saved.calibration
    assert loaded.fingerprint == saved.fingerprint and loaded.config == saved.config
    assert loaded.extract_config == saved.extract_config


METRICS = {
    "a list": b"[]",
    "no validation": b'{"test": null, "baselines": {}}',
    "no baselines": b'{"validation": null, "test": null}',
    "metrics that are text": b'{"validation": "good", "test": null, "baselines": {}}',
    "NaN": b'{"validation": null, "test": null, "baselines": {}, "seconds": NaN}',
    "empty test metrics": b'{"validation": null, "test": {}, "baselines": {}}',
    "a baseline that is text": b'{"validation": null, "test": null, "baselines": {"x": "good"}}',
}


@pytest.mark.parametrize("name", METRICS)
def test_hostile_metrics_are_refused_with_the_name_of_the_file(name: str, folder: Path) -> None:
    (folder / run.METRICS).write_bytes(METRICS[name])
    with pytest.raises(RunError, match=f"run/{run.METRICS}"):
        run.read_metrics(folder)


def test_a_logit_that_is_not_finite_gives_no_score(folder: Path) -> None:
    tensor("member_0/logistic/weights", np.full(8, 3e38, np.float32))(folder)
    model = run.load(folder)
    wild = np.full((1, FRAMES, WIDTH), 6e4, np.float16)
    object.__setattr__(model.members[0], "_weights", np.full(8, np.inf, np.float32))
    with np.errstate(all="ignore"), pytest.raises(RunError, match="not finite"):
        model.scores_of((wild, np.ones((1, FRAMES), bool)))


def test_an_attention_model_without_weights_is_refused_before_it_is_built(folder: Path) -> None:
    # 65,536 wide and with both inputs, its kernel alone would take 68 GB.
    width = 2 * 65_536
    scaling = {
        "member_0/preprocessor/mean": np.zeros(width, np.float32),
        "member_0/preprocessor/scale": np.ones(width, np.float32),
    }
    save_file(scaling, folder / WEIGHTS)
    HARMS["attention beyond memory"][1](folder)
    with pytest.raises(RunError, match="missing or unknown tensors: network/attention"):
        run.load(folder)


SPLITS = {
    "a list": b"[]",
    "a split that is a list": b'{"train": ["a.mp4"]}',
    "a digest that is a number": b'{"train": {"a.mp4": {"sha256": 3, "groups": []}}}',
    "groups that are text": b'{"train": {"a.mp4": {"sha256": "", "groups": "ann"}}}',
    "a clip that is a number": b'{"train": {"a.mp4": 3}}',
    "an unknown key": b'{"train": {"a.mp4": {"sha256": "", "groups": [], "run": "rm"}}}',
    "no JSON": b"train",
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_hostile_split_is_refused_with_the_name_of_the_file(name: str, folder: Path) -> None:
    (folder / split_file.NAME).write_bytes(SPLITS[name])
    with pytest.raises(RunError, match=split_file.NAME):
        split_file.read_split(folder)


def test_a_split_with_names_that_are_not_utf_8_is_read_back(folder: Path) -> None:
    clip = Clip("\udcff/é.mp4", 1, ("ann\udc80", "bob"), sha256="ab" * 32)
    split_file.write_split(folder, {"train": {clip.video_id: clip}})
    (entry,) = split_file.read_split(folder)["train"].items()
    assert entry == (clip.video_id, split_file.SplitClip(clip.sha256, clip.groups))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([MODEL, WEIGHTS]), st.floats(0, 0.999), st.integers(0, 7), st.booleans())
def test_a_flipped_bit_or_truncation_is_refused_or_leaves_a_finite_model(
    folder: Path, file: str, place: float, bit: int, cut: bool
) -> None:
    whole = (folder / file).read_bytes()
    position = int(place * len(whole))
    damaged = bytearray(whole)
    damaged[position] ^= 1 << bit
    try:
        (folder / file).write_bytes(whole[:position] if cut else bytes(damaged))
        arrays = (np.ones((1, FRAMES, WIDTH), np.float16), np.ones((1, FRAMES), bool))
        try:
            model = run.load(folder)
        except RunError as error:
            # An altered shape no longer matches the weights.
            assert any(name in str(error) for name in (file, WEIGHTS))
        else:
            assert not cut
            assert np.isfinite(model.scores_of(arrays)).all()
    finally:
        (folder / file).write_bytes(whole)
