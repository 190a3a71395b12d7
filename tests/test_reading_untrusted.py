"""Decoding untrusted files: what is refused, and with which message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from msgspec import Meta, Struct

from deepfake_seq.errors import RunError
from deepfake_seq.untrusted import decode, decode_rows, read_tensors

LIMIT = 1 << 22


class Clip(Struct):
    name: str
    frames: Annotated[int, Meta(ge=1)] = 16
    seconds: float = 0.0


class Strict(Struct, forbid_unknown_fields=True):
    name: str


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "clips.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_valid_content_becomes_an_object(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"name": "a", "frames": 3, "seconds": 2, "more": [1.5e3, -7]}]')
    assert decode(path, list[Clip], LIMIT) == [Clip("a", 3, 2.0)]
    assert decode(path, list[Any], LIMIT)[0]["more"] == [1500.0, -7]


@pytest.mark.parametrize("name", ["\udcff.mp4", "é\n.mp4", "a\u202e", ""])
def test_any_file_name_is_decoded(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, json.dumps({name: {"name": name}}))
    assert decode(path, dict[str, Clip], LIMIT) == {name: Clip(name)}


@pytest.mark.parametrize("kind", [Clip, dict[str, Any]])
@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "9" * 100_000]
)
def test_a_number_that_is_not_finite_is_refused_anywhere(
    tmp_path: Path, kind: type[Any], number: str
) -> None:
    path = written(tmp_path, f'{{"name": "a", "ignored": [{number}]}}')
    with pytest.raises(
        RunError, match=r"clips\.json cannot be read, .*altered: not a finite number: "
    ):
        decode(path, kind, LIMIT)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("true", "Expected `int`, got `bool`"),
        ('"3"', "Expected `int`, got `str`"),
        ("3.0", "Expected `int`, got `float`"),
        ("null", "Expected `int`, got `null`"),
        ("0", "Expected `int` >= 1"),
        ("9" * 30, "Expected `int`, got `float`"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(
    tmp_path: Path, value: str, complaint: str
) -> None:
    path = written(tmp_path, f'[{{"name": "a"}}, {{"name": "b", "frames": {value}}}]')
    with pytest.raises(RunError) as caught:
        decode(path, list[Clip], LIMIT, remedy="Write it again.")
    reason = f"it is damaged or was altered: {complaint} - at `$[1].frames`. Write it again."
    assert str(caught.value) == f"{path} cannot be read, {reason}"


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "\u202eright to left", "x" * 9_999])
def test_a_refusal_is_one_short_line_whatever_the_content(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, json.dumps({"name": "a", text: 1}))
    with pytest.raises(RunError, match=r"unknown field `") as caught:
        decode(path, Strict, LIMIT)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 999


@pytest.mark.parametrize("kind", [Clip, dict[str, Any], Any])
@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"a":' * 200_000, '{"name": "a", "x":' * 9_999]
)
def test_deep_nesting_is_refused(tmp_path: Path, kind: Any, content: str) -> None:
    with pytest.raises(RunError, match=r"clips\.json cannot be read"):
        decode(written(tmp_path, content), kind, LIMIT)


@pytest.mark.parametrize("content", [b"", b"{", b"{} {}", b"[1, 2", b"\xff\xfe\x00", b"{'a': 1}"])
def test_invalid_json_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RunError, match=r"clips\.json cannot be read"):
        decode(written(tmp_path, content), dict[str, Any], LIMIT)


def test_an_oversized_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "[" + " " * 100 + "]")
    assert decode(path, list[Any], 102) == []
    with pytest.raises(RunError, match=r"at most 101 bytes are read. Received: 102"):
        decode(path, list[Any], 101)


def test_rows_are_decoded_by_column_name(tmp_path: Path) -> None:
    path = written(tmp_path, 'seconds,name,frames\n0.5,"a, b",7\n')
    assert decode_rows(path, Clip, ("name", "frames", "seconds"), LIMIT) == [Clip("a, b", 7, 0.5)]


def test_the_message_about_a_row_is_short(tmp_path: Path) -> None:
    path = written(tmp_path, f"name,frames\n{'x' * 9_999},0\n")
    with pytest.raises(RunError) as caught:
        decode_rows(path, Clip, ("name", "frames"), LIMIT)
    message = str(caught.value)
    assert message.startswith(f"{path}:2: Expected `int` >= 1 - at `$.frames`. ")
    assert "Received: ['xxx" in message and len(message) < 999


def test_only_safetensors_files_are_read(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = written(tmp_path, save({"a": np.arange(3)}))
    assert read_tensors(path, LIMIT)["a"].tolist() == [0, 1, 2]
    with pytest.raises(RunError, match=r"damaged or was altered: .*\. Train again\."):
        read_tensors(written(tmp_path, "{}"), LIMIT, remedy="Train again.")
