from __future__ import annotations

from deepfake_seq.store import Fingerprint


def test_the_order_of_fields_does_not_change_the_fingerprint() -> None:
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


def test_a_number_differs_from_its_text_and_none_from_a_missing_field() -> None:
    assert Fingerprint({"a": 1}).differences(Fingerprint({"a": "1"}))
    assert Fingerprint({"a": None}).differences(Fingerprint({}))
