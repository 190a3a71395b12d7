"""Resolution of settings to weights files and fingerprints."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import int8_ranges
import pytest
from children import run_python
from detector_networks import write_retinaface_mobile_like

from deepfake_seq import weights
from deepfake_seq.config import BackboneConfig, ExtractConfig, FaceConfig
from deepfake_seq.errors import FingerprintMismatchError, UsageError, WeightsError
from deepfake_seq.extract.backbones.ranges import decode_ranges, encode_ranges
from deepfake_seq.extract.resolve import resolve, resolve_cached
from deepfake_seq.store import (
    FaceStore,
    FaceStoreWriter,
    Fingerprint,
    StoreDescription,
    StoreWriter,
)

PLAIN = ExtractConfig(
    faces=FaceConfig(detector="mtcnn"), backbone=BackboneConfig(weights="untrained")
)


def weights_file(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return str(path)


def with_weights(path: str) -> ExtractConfig:
    return replace(PLAIN, backbone=BackboneConfig(weights=path))


ALTERNATIVES: dict[str, dict[str, object]] = {
    "sampling": {"strategy": "keyframes", "frames": 8},
    "faces": {
        "detector": "none",
        "short_side": 480,
        "margin": 0.5,
        "people": "all",
        "image_format": "jpeg",
        "detect": "windows",
    },
    "backbone": {"name": "vgg16", "precision": "bfloat16"},
}
"""Another value for each setting; weights files and the precision of detectors are tested below."""


def test_every_setting_is_tested() -> None:
    for section, values in ALTERNATIVES.items():
        names = {setting.name for setting in fields(getattr(PLAIN, section))}
        assert names - values.keys() <= {"detector_weights", "weights", "precision"}
    assert {setting.name for setting in fields(PLAIN)} == ALTERNATIVES.keys()


@pytest.mark.parametrize(
    ("section", "name"),
    [(section, name) for section, values in ALTERNATIVES.items() for name in values],
)
def test_each_setting_that_changes_the_features_changes_the_fingerprint(
    section: str, name: str
) -> None:
    settings = replace(getattr(PLAIN, section), **{name: ALTERNATIVES[section][name]})
    before, after = resolve(PLAIN).fingerprint, resolve(replace(PLAIN, **{section: settings}))
    assert after.fingerprint.id != before.id
    assert any(name in line for line in before.differences(after.fingerprint))


def test_every_frame_has_the_fingerprint_of_stores_from_before_windows() -> None:
    every_frame = replace(PLAIN, faces=replace(PLAIN.faces, detect="every-frame"))
    assert "detect" not in resolve(every_frame).fingerprint.fields["faces"]


def test_a_model_may_be_used_on_faces_that_were_detected_in_windows() -> None:
    windows = replace(PLAIN, faces=replace(PLAIN.faces, detect="windows"))
    there, here = resolve(PLAIN).fingerprint, resolve(windows).fingerprint
    assert there.differences(here) == ["faces.detect is not set there, windows here"]
    assert there.incompatibilities(here) == []


def test_the_lossless_image_format_does_not_change_the_fingerprint() -> None:
    png = replace(PLAIN, faces=replace(PLAIN.faces, image_format="png"))
    assert resolve(png).fingerprint.id == resolve(PLAIN).fingerprint.id
    assert resolve(png).faces_fingerprint.id == resolve(PLAIN).faces_fingerprint.id


def test_the_fingerprint_of_faces_does_not_depend_on_the_cnn() -> None:
    other = replace(PLAIN, backbone=BackboneConfig("vgg16", "untrained"))
    assert resolve(other).faces_fingerprint.id == resolve(PLAIN).faces_fingerprint.id


def leaves(values: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name)


RETINAFACE = replace(PLAIN, faces=FaceConfig("retinaface", __file__))


def in_precision(faces: str | None, cnn: str = "float32") -> ExtractConfig:
    return ExtractConfig(
        faces=replace(RETINAFACE.faces, precision=faces),
        backbone=BackboneConfig(weights="untrained", precision=cnn),
    )


def test_the_precision_of_the_detector_changes_the_fingerprint_of_the_faces() -> None:
    float32, bfloat16 = resolve(in_precision("float32")), resolve(in_precision("bfloat16"))
    assert float32.faces_fingerprint == resolve(RETINAFACE).faces_fingerprint
    for before, after in (
        (float32.faces_fingerprint, bfloat16.faces_fingerprint),
        (float32.fingerprint, bfloat16.fingerprint),
    ):
        expected = ["faces.precision is not set there, bfloat16 here"]
        assert before.incompatibilities(after) == expected


def test_faces_do_not_depend_on_the_precision_of_the_cnn_if_the_detector_has_its_own() -> None:
    one, other = resolve(in_precision("float32", "bfloat16")), resolve(in_precision("float32"))
    assert one.faces_fingerprint == other.faces_fingerprint
    assert one.fingerprint.fields["backbone"]["precision"] == "bfloat16"


def test_features_of_cached_faces_keep_the_precision_of_the_detector(tmp_path: Path) -> None:
    faces = resolve(in_precision("bfloat16"))
    with FaceStoreWriter.create(tmp_path / "faces", faces.faces_description) as writer:
        writer.claim("")
    cnn = BackboneConfig(weights="untrained")
    resolved = resolve_cached(FaceStore.open(tmp_path / "faces"), cnn)
    assert resolved.fingerprint == faces.fingerprint
    assert resolved.config.faces.precision == "bfloat16"
    assert resolved.config.backbone.precision == "float32"


def test_int8_faces_bring_their_ranges_into_every_store(tmp_path: Path, empty_home: Path) -> None:
    network = write_retinaface_mobile_like(tmp_path / "detector.onnx", is_deep=True)
    ranges = int8_ranges.write_of_detector(empty_home / "deepseq", network)
    config = replace(PLAIN, faces=FaceConfig("retinaface-mobile", str(network), precision="int8"))
    resolved = resolve(config)
    section = resolved.faces_fingerprint.fields["faces"]
    assert (section["precision"], section["ranges_sha256"]) == ("int8", ranges.sha256)
    with FaceStoreWriter.create(tmp_path / "faces", resolved.faces_description) as writer:
        writer.claim("")
    assert decode_ranges((tmp_path / "faces" / "int8.json").read_bytes(), "") == (ranges,)

    shutil.rmtree(empty_home / "deepseq" / "int8")
    cached = resolve_cached(FaceStore.open(tmp_path / "faces"), config.backbone)
    assert cached.fingerprint == resolved.fingerprint
    assert cached.description.ranges == resolved.description.ranges == encode_ranges([ranges])
    again = resolve(config, ranges=cached.description.ranges)
    assert again.fingerprint == resolved.fingerprint


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (config, name)
        for config in (PLAIN, RETINAFACE)
        for name in leaves(resolve(config).fingerprint.fields)
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value.faces.detector,
)
def test_a_difference_in_any_field_refuses_the_store(
    config: ExtractConfig, name: tuple[str, ...], tmp_path: Path
) -> None:
    fingerprint = resolve(config).fingerprint
    changed = json.loads(fingerprint.canonical)
    place = changed
    for key in name[:-1]:
        place = place[key]
    place[name[-1]] = f"{place[name[-1]]} "
    with StoreWriter.create(tmp_path / "s", StoreDescription(fingerprint, {})) as writer:
        writer.claim("x")
    with pytest.raises(FingerprintMismatchError, match=re.escape(".".join(name))):
        StoreWriter.create(tmp_path / "s", StoreDescription(Fingerprint(changed), {}))


@pytest.mark.parametrize(
    ("config", "package"),
    [
        (PLAIN, "av"),
        (PLAIN, "opencv-contrib-python-headless"),
        (PLAIN, "mtcnn"),
        (RETINAFACE, "retina-face"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_library_versions_change_the_fingerprint(
    config: ExtractConfig, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import version

    before = resolve(config).fingerprint
    monkeypatch.setattr(
        "deepfake_seq.extract.resolve.version",
        lambda name: "999.0" if name == package else version(name),
    )
    assert resolve(config).fingerprint.id != before.id


def test_another_pipeline_version_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resolve(PLAIN).fingerprint
    monkeypatch.setattr("deepfake_seq.extract.resolve._PIPELINE_VERSION", 99)
    assert resolve(PLAIN).fingerprint.id != before.id


def test_other_weights_change_the_fingerprint(tmp_path: Path) -> None:
    one = resolve(with_weights(weights_file(tmp_path / "one.h5", "one")))
    other = resolve(with_weights(weights_file(tmp_path / "other.h5", "other")))
    assert len({one.fingerprint.id, other.fingerprint.id, resolve(PLAIN).fingerprint.id}) == 3


def test_the_path_of_the_weights_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    here = resolve(with_weights(weights_file(tmp_path / "here.h5", "same")))
    there = resolve(with_weights(weights_file(tmp_path / "far" / "there.h5", "same")))
    assert here.fingerprint == there.fingerprint
    assert here.backbone_weights == tmp_path / "here.h5"


@pytest.mark.parametrize("detector", ["yunet", "retinaface"])
def test_detector_weights_change_the_fingerprint_but_their_path_does_not(
    detector: str, tmp_path: Path
) -> None:
    paths = [
        weights_file(tmp_path / name, content)
        for name, content in (("a", "one"), ("b", "one"), ("c", "two"))
    ]
    first, same, other = (
        resolve(replace(PLAIN, faces=FaceConfig(detector, path))) for path in paths
    )
    assert first.detector_weights == tmp_path / "a"
    assert first.fingerprint == same.fingerprint
    assert first.fingerprint.id != other.fingerprint.id


def test_the_fingerprint_is_reproducible() -> None:
    assert resolve(PLAIN).fingerprint == resolve(PLAIN).fingerprint


def test_untrained_weights_need_no_file() -> None:
    resolved = resolve(PLAIN)
    assert resolved.backbone_weights is None
    assert resolved.detector_weights is None
    assert "untrained" in resolved.fingerprint.fields["backbone"]["weights_sha256"]


@pytest.mark.parametrize(
    ("config", "option"),
    [
        (with_weights("no/such.h5"), "--weights"),
        (replace(PLAIN, faces=FaceConfig("yunet", "no/such.h5")), "--detector-weights"),
    ],
)
def test_a_missing_file_is_a_usage_error_naming_the_option(
    config: ExtractConfig, option: str
) -> None:
    with pytest.raises(
        UsageError, match=rf"{option}: no such weights file\. Received: no/such\.h5"
    ):
        resolve(config)


def test_all_missing_published_weights_are_named_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(name: str) -> Path:
        raise weights.DownloadError(f"{name}: no network in tests")

    monkeypatch.setattr(weights, "fetch", unreachable)
    with pytest.raises(WeightsError, match=r"(?s)retinaface.*inception_v3"):
        resolve(ExtractConfig())


def test_the_weights_of_mtcnn_are_in_the_fingerprint_without_importing_it() -> None:
    code = (
        "import sys\n"
        "from deepfake_seq.config import *\n"
        "from deepfake_seq.extract.resolve import resolve\n"
        "config = ExtractConfig(faces=FaceConfig('mtcnn'), "
        "backbone=BackboneConfig(weights='untrained'))\n"
        "print(resolve(config).fingerprint.fields['faces']['weights_sha256'])\n"
        "assert not {'mtcnn', 'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    digest = run_python(code).strip()
    assert len(digest) == 64
    assert digest != hashlib.sha256(b"").hexdigest(), "no weights were found"


def test_other_mtcnn_weights_have_another_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.util import find_spec

    spec = find_spec("mtcnn")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0], "assets", "weights")
    copy = tmp_path / "mtcnn" / "assets" / "weights"
    shutil.copytree(source, copy)
    before = resolve(PLAIN).fingerprint.fields["faces"]["weights_sha256"]
    monkeypatch.setattr(spec, "submodule_search_locations", [str(tmp_path / "mtcnn")])
    monkeypatch.setattr("deepfake_seq.extract.resolve.find_spec", lambda name: spec)
    assert resolve(PLAIN).fingerprint.fields["faces"]["weights_sha256"] == before
    next(copy.glob("*.lz4")).write_bytes(b"other")
    assert resolve(PLAIN).fingerprint.fields["faces"]["weights_sha256"] != before
