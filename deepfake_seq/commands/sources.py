"""Sources of crops for `extract`, and the CNN that it applies to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import from_options
from deepfake_seq.commands.videos import collect, report
from deepfake_seq.commands.views import view_settings
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.datasets import VideoItem
    from deepfake_seq.datasets.finetune_overlap import FinetuneOverlap
    from deepfake_seq.extract.resolve import ResolvedConfig

_VIDEO_PARAMETERS = (
    "paths", "dataset", "labels", "follow_links", "detector", "detector_weights",
    "detector_precision", "detect", "short_side", "margin", "faces", "sampling", "frames",
    "keep_faces", "face_format",
)  # fmt: skip
"""Parameters that do not apply to --from-faces: the crops were made with other values of them."""


def load_sources(
    out: Path, options: dict[str, Any]
) -> tuple[Sequence[VideoItem], ResolvedConfig, str]:
    """Return the videos to extract, the resolved settings, and a report to print first."""
    if options["from_faces"]:
        return _from_faces(out, options)
    from deepfake_seq.extract.options import ExtractOptions
    from deepfake_seq.extract.resolve import resolve
    from deepfake_seq.store import has_faces
    from deepfake_seq.store.shards.description import read_ranges

    backbone, overlap = _cnn(options)
    # A store with a face cache keeps getting faces, so that both always contain the same videos.
    keep_faces = options["keep_faces"] or has_faces(out)
    faces = from_options(config.FaceConfig, options, image_format=_face_format(out, options))
    sampling = from_options(config.SamplingConfig, options)
    extract_options = ExtractOptions(
        keep_faces, view_settings(options), overlap, _evidence(options)
    )
    settings = config.ExtractConfig(sampling, faces, backbone)
    collection = collect(options["paths"], options)
    return (
        collection.items,
        resolve(settings, extract_options, read_ranges(out)),
        report(collection),
    )


def _from_faces(
    out: Path, options: dict[str, Any]
) -> tuple[Sequence[VideoItem], ResolvedConfig, str]:
    from deepfake_seq.extract.options import ExtractOptions
    from deepfake_seq.extract.records.from_faces import cached_items
    from deepfake_seq.extract.resolve import resolve_cached
    from deepfake_seq.store import open_faces
    from deepfake_seq.store.shards.description import read_ranges

    refused = [f"--{name.replace('_', '-')}" for name in _VIDEO_PARAMETERS if _is_given(name)]
    if refused:
        raise UsageError(
            "--from-faces takes crops and labels from the face store: leave out "
            + " ".join(refused).replace("--paths", "PATH")
        )
    backbone, overlap = _cnn(options)
    store = open_faces(options["from_faces"])
    extract_options = ExtractOptions(False, view_settings(options), overlap, _evidence(options))
    resolved = resolve_cached(store, backbone, extract_options, read_ranges(out))
    items = cached_items(store, resolved.config.faces.people == "all")
    return items, resolved, f"{store.path}: faces of {len(items)} videos\n"


def _evidence(options: dict[str, Any]) -> tuple[str, ...]:
    return from_options(config.EvidenceConfig, options).beside_features


def _face_format(out: Path, options: dict[str, Any]) -> str:
    """Return the format of kept crops: the format of the existing face cache, if there is one."""
    from deepfake_seq.store import faces_of, has_faces, open_faces

    requested = str(options["face_format"])
    if not has_faces(out):
        return requested
    existing = str(open_faces(out).extract_config.get("faces", {}).get("image_format", requested))
    if existing != requested and _is_given("face_format"):
        raise UsageError(
            f"{faces_of(out)} contains {existing} crops: leave --face-format out, or give another "
            f"--out. Received: --face-format {requested}"
        )
    return existing


def _cnn(options: dict[str, Any]) -> tuple[config.BackboneConfig, FinetuneOverlap | None]:
    """Return the CNN, and if it was finetuned, the clips that it was finetuned on."""
    from deepfake_seq.extract.backbones.runtime import require_openvino_for_int8

    backbone = from_options(config.BackboneConfig, options)
    require_openvino_for_int8(options["runtime"], backbone)
    path = Path(backbone.weights)
    if not backbone.uses_file or not (path.is_dir() or path.suffix == ".safetensors"):
        return backbone, None
    from deepfake_seq.finetune.reuse import finetuned_cnn

    # Only the run of a finetuned CNN records the clips that must not be used to evaluate it.
    finetuned = finetuned_cnn(path if path.is_dir() else path.parent)
    if not path.is_dir() and path != finetuned.weights:
        raise UsageError(
            f"give the run, or {finetuned.weights.name} inside the run. Received: {path}"
        )
    if _is_given("backbone") and backbone.name != finetuned.backbone:
        raise UsageError(
            f"{path} is a finetuned {finetuned.backbone}. Received: --backbone {backbone.name}"
        )
    backbone = replace(backbone, name=finetuned.backbone, weights=str(finetuned.weights))
    return backbone, finetuned.clips


def _is_given(name: str) -> bool:
    """Return whether the command line contains a parameter."""
    source = click.get_current_context().get_parameter_source(name)
    return source == click.core.ParameterSource.COMMANDLINE
