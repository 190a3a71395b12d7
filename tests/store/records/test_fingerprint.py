from __future__ import annotations

from deepfake_seq.store import Fingerprint


def test_equal_fields_in_any_order_are_the_same_fingerprint() -> None:
    one = Fingerprint({"a": 1, "b": {"c": "x", "d": 0.3}})
    two = Fingerprint({"b": {"d": 0.3, "c": "x"}, "a": 1})
    assert one.id == two.id
    assert len(one.id) == 12
    assert one.differences(two) == []


def test_each_difference_is_named_with_both_values() -> None:
    there = Fingerprint({"faces": {"detector": "yunet", "margin": 0.3}, "old": True})
    here = Fingerprint({"faces": {"detector": "mtcnn", "margin": 0.3}})
    assert there.id != here.id
    assert there.differences(here) == [
        "faces.detector is yunet there, mtcnn here",
        "old is True there, not set here",
    ]


def test_a_number_is_not_its_text_and_none_is_not_absence() -> None:
    assert Fingerprint({"a": 1}).differences(Fingerprint({"a": "1"}))
    assert Fingerprint({"a": None}).differences(Fingerprint({}))
