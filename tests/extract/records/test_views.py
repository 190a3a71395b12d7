"""Views of a clip: ids, metadata and reproducibility."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from records import make_record, same_record

from deepfake_seq import augment
from deepfake_seq.config import ViewsConfig
from deepfake_seq.extract.records import views
from deepfake_seq.extract.records.views import (
    Crops,
    RenderedView,
    is_pseudo_fake,
    view_key,
    view_record,
    views_of,
    wanted_views,
)

REAL, FAKE, UNKNOWN = 0, 1, -1
KEY = view_key("ab" * 32, "a/clip.mp4")
ALL = ViewsConfig(augment="all", views=2, self_blend=1, degrade=("h264", "jpeg"), seed=5)
CLIP = make_record(
    "a/clip.mp4#1",
    label=REAL,
    groups=("id1",),
    split="train",
    facts={"width": 64, "method": "original", "dataset": "celeb-df"},
)


@pytest.fixture
def crops() -> Crops:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in (64, 50)]
    boxes = [np.float32([0.12, 0.12, 0.88, 0.88]) * np.float32(len(image)) for image in images]
    return Crops(images, boxes, [None, None])


def pixels(views: Iterable[RenderedView]) -> list[bytes]:
    return [b"".join(image.tobytes() for image in view.images_rgb) for view in views]


@pytest.mark.parametrize(
    ("augmented", "label", "expected"),
    [
        ("none", REAL, ["blend1"]),
        ("none", FAKE, []),
        ("real", REAL, ["view1", "view2", "blend1"]),
        ("real", FAKE, []),
        ("fake", FAKE, ["view1", "view2"]),
        ("fake", REAL, ["blend1"]),
        ("all", FAKE, ["view1", "view2"]),
        ("all", REAL, ["view1", "view2", "blend1"]),
        ("all", UNKNOWN, []),
    ],
)
def test_labels_decide_which_views_are_made(
    crops: Crops, augmented: str, label: int, expected: list[str]
) -> None:
    config = ViewsConfig(augment=augmented, views=2, self_blend=1)
    assert [f"{view.kind}{view.number}" for view in views_of(KEY, crops, label, config)] == expected
    names = [name for name, _ in wanted_views("a/clip.mp4", label, config)]
    assert names == [f"a/clip.mp4@{name}" for name in expected]
    assert config.wanted(label) == bool(expected)


def test_no_views_are_made_by_default() -> None:
    assert not any(ViewsConfig().wanted(label) for label in (REAL, FAKE, UNKNOWN))


def test_views_are_as_large_as_the_clip_and_differ(crops: Crops) -> None:
    all_views = list(views_of(KEY, crops, REAL, ALL))
    for view in all_views:
        assert [image.shape for image in view.images_rgb] == [(64, 64, 3), (50, 50, 3)]
    assert len(set(pixels(all_views))) == 3


def test_views_do_not_depend_on_the_path_of_the_clip(crops: Crops) -> None:
    again = view_key("ab" * 32, "elsewhere/under another name.mp4")
    assert pixels(views_of(KEY, crops, REAL, ALL)) == pixels(views_of(again, crops, REAL, ALL))


@pytest.mark.parametrize(
    ("sha256", "name"), [("cd" * 32, "a/clip.mp4"), ("ab" * 32, "a/clip.mp4#1")]
)
def test_another_content_or_person_gives_different_views(
    crops: Crops, sha256: str, name: str
) -> None:
    other = view_key(sha256, name)
    ones, others = views_of(KEY, crops, REAL, ALL), views_of(other, crops, REAL, ALL)
    assert not set(pixels(ones)) & set(pixels(others))


def test_a_key_is_the_same_on_any_machine() -> None:
    assert view_key("ab" * 32, "clip.mp4#2")[:3] == (1472524799, 2957604906, 2516794568)


def test_the_seed_changes_every_view(crops: Crops) -> None:
    ones = views_of(KEY, crops, REAL, ALL)
    others = views_of(KEY, crops, REAL, replace(ALL, seed=6))
    assert not set(pixels(ones)) & set(pixels(others))


def test_more_views_do_not_change_the_others(crops: Crops) -> None:
    few = pixels(views_of(KEY, crops, REAL, ALL))
    many = pixels(views_of(KEY, crops, REAL, replace(ALL, views=3, self_blend=2)))
    assert set(few) < set(many)


def test_settings_contain_everything_that_changes_the_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings(config: ViewsConfig) -> dict[str, Any]:
        return next(wanted_views("clip", FAKE, config))[1]

    expected = settings(ALL)
    assert json.loads(json.dumps(expected)) == expected
    assert settings(replace(ALL, views=9, self_blend=9, augment="fake")) == expected
    assert settings(replace(ALL, degrade=("jpeg", "h264", "jpeg"))) == expected
    assert settings(replace(ALL, degrade=("jpeg",))) != expected
    assert settings(replace(ALL, seed=6)) != expected
    monkeypatch.setattr(views, "RANGES_VERSION", augment.RANGES_VERSION + 1)
    assert settings(ALL) != expected


def test_views_have_the_requested_settings(crops: Crops) -> None:
    settings_of_views = [view.settings for view in views_of(KEY, crops, REAL, ALL)]
    assert settings_of_views == [settings for _, settings in wanted_views("clip", REAL, ALL)]


def test_self_blended_fakes_have_the_replaced_share_of_each_region(crops: Crops) -> None:
    for view in views_of(KEY, crops, REAL, ALL):
        shares = view.facts.get("mask_shares")
        assert (shares is not None) == (view.kind == "blend")
        if shares:
            assert len(shares) == 6 and all(0 <= share <= 1 for share in shares)
            assert max(shares) > 0.2 and json.loads(json.dumps(shares)) == shares


def test_a_view_differs_from_its_clip_in_id_and_one_fact() -> None:
    record = view_record(RenderedView("view", 2, [], [], {"seed": 5}, {}), CLIP)
    view = {"kind": "view", "number": 2, "of": "a/clip.mp4#1", "settings": {"seed": 5}}
    facts = {**CLIP.facts, "view": view}
    assert same_record(record, replace(CLIP, video_id="a/clip.mp4#1@view2", facts=facts))
    assert "view" not in CLIP.facts
    assert not is_pseudo_fake(record.facts)


def test_a_blend_is_a_fake_with_its_own_method() -> None:
    record = view_record(RenderedView("blend", 1, [], [], {}, {"method": "self-blended"}), CLIP)
    assert record.video_id == "a/clip.mp4#1@blend1"
    assert record.label == FAKE
    assert record.facts["method"] == "self-blended"
    assert record.facts["dataset"] == "celeb-df"
    assert (record.groups, record.split) == (CLIP.groups, CLIP.split)
    assert is_pseudo_fake(record.facts)


@pytest.mark.parametrize("facts", [{}, {"method": "self-blended"}, {"view": "blend"}])
def test_other_records_are_not_pseudo_fakes(facts: dict[str, Any]) -> None:
    assert not is_pseudo_fake(facts)
