"""Read a label from plain words, such as the name of a folder or a value in a list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL, UNKNOWN

# fmt: off
REAL_WORDS = frozenset({
    "authentic", "bonafide", "genuine", "original", "originals", "pristine", "real", "reals",
    "unaltered", "unmanipulated",
})
FAKE_WORDS = frozenset({
    "deepfake", "deepfaked", "deepfakes", "doctored", "fake", "faked", "fakes", "forged",
    "forgeries", "forgery", "generated", "manipulated", "manipulation", "manipulations", "swapped",
    "synthesis", "synthesised", "synthesized", "synthetic", "tampered",
})
NEUTRAL_WORDS = frozenset({
    "actor", "actors", "ai", "all", "celeb", "celebs", "class", "clip", "clips", "face", "faces",
    "file", "files", "film", "films", "folder", "footage", "label", "movie", "movies", "only",
    "part", "people", "recording", "recordings", "sample", "samples", "sequence", "sequences",
    "set", "subset", "test", "testing", "train", "training", "val", "valid", "validation",
    "version", "vid", "video", "videos", "vids", "youtube",
})
"""Words beside a class word that do not change its meaning."""

_NEGATIONS = frozenset({"no", "non", "not", "un", "vs", "versus"})
# fmt: on

_KNOWN_WORDS = REAL_WORDS | FAKE_WORDS | NEUTRAL_WORDS
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TWO_WORDS = re.compile(r"(?<![A-Za-z])(deep|bona)[\W_]*(?=fake|fide)", re.IGNORECASE)
_STEMS = re.compile(
    "real|fake|genuin|authent|orig|pristin|bona|manipul|synth|forg|swap|tamper|alter|generat|spoof"
)
_BARE_CLASSES = frozenset(
    {"0", "1", "ai", "bad", "false", "good", "negative", "neg", "no", "positive", "pos", "true"}
    | {"yes"}
)


_NUMBER = re.compile(r"([01])(?:\.0*)?")
_BOOLEANS = {"true": FAKE, "false": REAL}
_NO_LABEL = frozenset({"", "-1", "-1.0", "?", "unknown", "nan", "none", "null", "na", "n/a"})

NUMBER, BOOLEAN, WORD, MISSING = "number", "boolean", "word", "missing"
"""Spellings of a label in a list."""


class LabelValue(NamedTuple):
    """A label in a list.

    Attributes:
        label: 1 = fake, 0 = real, -1 = unknown, None = not a label.
        spelling: `number`, `boolean`, `word` or `missing`.
    """

    label: int | None
    spelling: str


class Words(NamedTuple):
    """What the words of a name tell about a label.

    Attributes:
        label: 1 = fake, 0 = real, -1 = no class word, or a contradiction.
        is_certain: Whether all other words are neutral: `real_videos`, not `real_estate`.
        is_contradictory: Whether the name has words of both classes, or a negation.
    """

    label: int
    is_certain: bool
    is_contradictory: bool


def read_words(name: str) -> Words:
    """Read a label from whole words; `unreal` and `realistic` contain none.

    Words are separated by anything but letters, or by a capital letter: `FakeVideos`.
    """
    words = {word.lower() for word in _split(name) if len(word) > 1}
    labels = {REAL} if words & REAL_WORDS else set()
    labels |= {FAKE} if words & FAKE_WORDS else set()
    if not labels:
        return Words(UNKNOWN, False, False)
    if len(labels) > 1 or words & _NEGATIONS:
        return Words(UNKNOWN, False, True)
    return Words(labels.pop(), words <= _KNOWN_WORDS, False)


def read_label(text: str) -> LabelValue:
    """Read a label from a value in a list, in any case.

    1 = fake: `1`, `1.0`, `true`, `fake`, `Deepfake`; 0 = real: `0`, `0.0`, `false`, `REAL`,
    `original`; -1 = unknown: an empty value, `-1`, `unknown`, `nan`.
    """
    folded = text.strip().casefold()
    if folded in _NO_LABEL:
        return LabelValue(UNKNOWN, MISSING)
    if number := _NUMBER.fullmatch(folded):
        return LabelValue(FAKE if number[1] == "1" else REAL, NUMBER)
    if folded in _BOOLEANS:
        return LabelValue(_BOOLEANS[folded], BOOLEAN)
    words = read_words(text)
    return LabelValue(words.label if words.is_certain else None, WORD)


def _split(name: str) -> Iterator[str]:
    text = _TWO_WORDS.sub(r"\1", unicodedata.normalize("NFC", name))
    for part in _NOT_LETTERS.split(text):
        yield from [part] if part.lower() in _KNOWN_WORDS else _CAPITALS.split(part)


def is_topic(name: str) -> bool:
    """Return whether a name may be that of a project: only the word `deepfake` or `deepfakes`."""
    return [word.lower() for word in _split(name) if word] in (["deepfake"], ["deepfakes"])


def looks_like_class(name: str) -> bool:
    """Return whether a person may mean a class by a name, whether or not it gives a label."""
    lower = name.lower()
    return lower in _BARE_CLASSES or _STEMS.search(lower) is not None
