"""What `extract` takes its crops from, and the CNN that it shows them to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import face_settings, weights_setting
from deepfake_seq.commands.videos import collect, report
from deepfake_seq.commands.views import view_settings
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.datasets import VideoItem
    from deepfake_seq.datasets.leakage import FinetuneOverlap
    from deepfake_seq.extract.resolve import ResolvedConfig

_OF_VIDEOS = (
    "paths", "dataset", "labels", "follow_links", "detector", "detector_weights", "short_side",
    "margin", "faces", "sampling", "frames", "keep_faces", "face_format",
)  # fmt: skip
"""What cannot be chosen again for faces that were cut out before."""


def sources(out: Path, options: dict[str, Any]) -> tuple[Sequence[VideoItem], ResolvedConfig, str]:
    """What is extracted, how, and what is to be said of it first."""
    if options["from_faces"]:
        return _from_faces(options)
    from deepfake_seq.extract.options import ExtractOptions
    from deepfake_seq.extract.resolve import resolve
    from deepfake_seq.store import has_faces

    backbone, cnn_clips = _cnn(options)
    # Where faces are kept once they are kept ever after, so that both stores stay in step.
    kept = options["keep_faces"] or has_faces(out)
    faces = replace(face_settings(options), image_format=_face_format(out, options))
    sampling = config.SamplingConfig(options["sampling"], options["frames"])
    extract_options = ExtractOptions(kept, view_settings(options), cnn_clips)
    settings = config.ExtractConfig(sampling, faces, backbone)
    collection = collect(options["paths"], options)
    return collection.items, resolve(settings, extract_options), report(collection)


def _from_faces(options: dict[str, Any]) -> tuple[Sequence[VideoItem], ResolvedConfig, str]:
    from deepfake_seq.extract.options import ExtractOptions
    from deepfake_seq.extract.records.from_faces import cached_items
    from deepfake_seq.extract.resolve import resolve_cached
    from deepfake_seq.store import open_faces

    again = [f"--{name.replace('_', '-')}" for name in _OF_VIDEOS if _is_given(name)]
    if again:
        raise UsageError(
            "cached faces are taken as they are, with what is told of their videos: leave out "
            + " ".join(again).replace("--paths", "PATH")
        )
    backbone, cnn_clips = _cnn(options)
    store = open_faces(options["from_faces"])
    extract_options = ExtractOptions(False, view_settings(options), cnn_clips)
    resolved = resolve_cached(store, backbone, extract_options)
    items = cached_items(store, resolved.config.faces.people == "all")
    return items, resolved, f"{store.path}: the faces of {len(items)} videos\n"


def _face_format(out: Path, options: dict[str, Any]) -> str:
    """The format of kept crops: that of those which are there, if there are any."""
    from deepfake_seq.store import faces_of, has_faces, open_faces

    wanted = str(options["face_format"])
    if not has_faces(out):
        return wanted
    own = str(open_faces(out).extract_config.get("faces", {}).get("image_format", wanted))
    if own != wanted and _is_given("face_format"):
        raise UsageError(
            f"{faces_of(out)} holds {own}: leave --face-format out, or give another --out. "
            f"Received: --face-format {wanted}"
        )
    return own


def _cnn(options: dict[str, Any]) -> tuple[config.BackboneConfig, FinetuneOverlap | None]:
    """The CNN, and what it was made with where it comes from a fine-tuned run."""
    name, weights = options["backbone"], weights_setting(options["weights"])
    backbone, path = config.BackboneConfig(name, weights, options["precision"]), Path(weights)
    if not backbone.uses_file or not (path.is_dir() or path.suffix == ".safetensors"):
        return backbone, None
    from deepfake_seq.finetune.reuse import finetuned_cnn

    # A fine-tuned CNN never comes without its run, which knows what it must not be judged by.
    tuned = finetuned_cnn(path if path.is_dir() else path.parent)
    if not path.is_dir() and path != tuned.weights:
        raise UsageError(f"give the run, or its own {tuned.weights.name}. Received: {path}")
    if _is_given("backbone") and name != tuned.backbone:
        raise UsageError(f"{path} is a fine-tuned {tuned.backbone}. Received: --backbone {name}")
    return replace(backbone, name=tuned.backbone, weights=str(tuned.weights)), tuned.clips


def _is_given(name: str) -> bool:
    """Whether an option, or the argument, stands in the call."""
    source = click.get_current_context().get_parameter_source(name)
    return source == click.core.ParameterSource.COMMANDLINE
