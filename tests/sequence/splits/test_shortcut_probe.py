from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.reports.tables import block_rows
from deepfake_seq.sequence.splits.block_probe import probe_blocks
from deepfake_seq.sequence.splits.shortcut_probe import probe


def clips(count: int = 120, **planted: Any) -> SequenceData:
    """Return clips whose metadata depends on their class only as `planted` says."""
    generator = np.random.default_rng(0)
    generated = []
    for number in range(count):
        label = number % 2
        facts: dict[str, object] = {
            "width": int(generator.choice([640, 1280])),
            "height": 480,
            "fps": float(generator.choice([25.0, 30.0])),
            "duration_seconds": float(generator.uniform(5, 15)),
            "codec": str(generator.choice(["h264", "hevc"])),
        }
        size = int(facts["duration_seconds"] * generator.uniform(1e5, 3e5))
        face = float(generator.uniform(80, 200))
        if label:
            facts |= {key: value for key, value in planted.items() if key in facts}
            size = int(size * planted.get("bit_rate", 1.0))
            face *= planted.get("face", 1.0)
        groups = (f"p{number // 4}",)
        generated.append(
            Clip(f"{number}.mp4", label, groups, size_bytes=size, face_pixels=face, facts=facts)
        )
    features = ArrayFeatures(np.zeros((count, 1, 1), np.float16), np.ones((count, 1), bool))
    return SequenceData(tuple(generated), features, np.arange(count))


def test_uninformative_metadata_gives_no_warning() -> None:
    shortcut = probe(clips())
    assert shortcut.auc is not None and shortcut.auc < 0.65
    assert not shortcut.warnings


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ({"bit_rate": 3.0}, "bit rate"),
        ({"fps": 29.97}, "frame rate"),
        ({"width": 256}, "width"),
        ({"codec": "mpeg4"}, "codec"),
        ({"duration_seconds": 4.0}, "duration"),
        ({"face": 3.0}, "face size"),
    ],
    ids=lambda value: str(value),
)
def test_a_planted_shortcut_is_found_and_named(planted: dict[str, Any], name: str) -> None:
    shortcut = probe(clips(**planted))
    assert shortcut.auc is not None and shortcut.auc > 0.8
    (warning,) = shortcut.warnings
    assert "metadata alone" in warning and name in warning


def test_two_values_that_separate_the_classes_only_together_are_found() -> None:
    data = clips()
    for clip in data.clips:
        clip.facts["fps"] = 25.0 if (clip.facts["width"] == 640) == bool(clip.label) else 30.0
    shortcut = probe(data)
    assert max(shortcut.facts["width"], shortcut.facts["frame rate"]) < 0.65
    assert shortcut.auc is not None and shortcut.auc > 0.9
    assert "metadata alone" in shortcut.warnings[0]


def test_metadata_that_identifies_only_people_is_no_shortcut() -> None:
    # Each person has a frame width of their own, in real and fake clips alike.
    data = clips()
    for number, clip in enumerate(data.clips):
        clip.facts["width"] = 300 + 7 * (number // 4)
    shortcut = probe(data)
    assert shortcut.auc is not None and shortcut.auc < 0.65


def test_missing_metadata_is_allowed() -> None:
    data = clips()
    for clip in data.clips[::3]:
        clip.facts.clear()
    assert probe(data).auc is not None


def test_too_few_groups_give_a_warning() -> None:
    data = clips(8)
    for clip in data.clips:
        object.__setattr__(clip, "groups", ("ann",))
    assert probe(data).auc is None
    assert "was skipped" in probe(data).warnings[0]


def with_blocks(data: SequenceData, seed: int = 1) -> SequenceData:
    """Return clips with a block that encodes the face size in a few columns, and one of noise."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((len(data), 4, 300)).astype(np.float16)
    sizes = np.log([clip.face_pixels for clip in data.clips])
    rows[..., :10] = 0.01 * rows[..., :10] + 2 * sizes[:, None, None]
    rows[..., 10:100] *= 0.01
    mask = np.ones((len(data), 4), bool)
    return replace(data, features=ArrayFeatures(rows, mask, {"sizes": 100, "noise": 200}))


def test_a_block_that_encodes_the_face_size_is_named() -> None:
    found = probe_blocks(with_blocks(clips()))
    assert found["sizes"]["face size"] > 0.9
    assert all(abs(r2) < 0.2 for r2 in found["noise"].values())
    assert set(found["noise"]) == {"face size", "width", "bit rate", "bits per pixel"}
    header, sizes, _ = block_rows(found)
    assert sizes[0] == "sizes" and float(sizes[header.index("face size")]) > 0.9


def test_a_shortcut_names_the_blocks_that_contain_it() -> None:
    data = with_blocks(clips(face=3.0))
    (warning,) = replace(probe(data), blocks=probe_blocks(data)).warnings
    assert "sizes (face size" in warning and "noise (" not in warning


def test_blocks_are_tested_on_other_people_than_they_were_fitted_to() -> None:
    # Each person has a code in the block and a bit rate of their own.
    data = clips()
    generator = np.random.default_rng(2)
    people = np.arange(len(data)) // 4
    rows = generator.standard_normal((30, 1, 50))[people].astype(np.float16)
    sizes = generator.uniform(1e5, 1e6, 30)[people]
    changed = tuple(
        replace(clip, size_bytes=int(size)) for clip, size in zip(data.clips, sizes, strict=True)
    )
    features = ArrayFeatures(rows, np.ones((len(data), 1), bool))
    found = probe_blocks(replace(data, clips=changed, features=features))
    assert found["features"]["bit rate"] < 0.2


def test_a_fact_that_only_one_group_has_is_left_out() -> None:
    data = with_blocks(clips(60))
    changed = tuple(
        replace(clip, facts={"width": 300 + number} if number < 24 else {}, groups=("ann",))
        if number < 24
        else replace(clip, facts={})
        for number, clip in enumerate(data.clips)
    )
    found = probe_blocks(replace(data, clips=changed))
    assert set(found["noise"]) == {"face size"}


@pytest.mark.parametrize("case", ["constant", "unknown", "one group"])
def test_facts_that_cannot_be_predicted_are_left_out(case: str) -> None:
    data = with_blocks(clips(60))
    changed = tuple(
        replace(
            clip,
            facts={"width": 640} if case == "constant" else {},
            size_bytes=0,
            face_pixels=100.0 if case != "one group" else clip.face_pixels,
            groups=("ann",) if case == "one group" else clip.groups,
        )
        for clip in data.clips
    )
    assert probe_blocks(replace(data, clips=changed)) == {}
