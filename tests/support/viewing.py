"""Feature stores with views and self-blended fakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from records import make_record, write_store

from deepfake_seq.store import FeatureRecord, FeatureStore


def view_of(
    clip: FeatureRecord, kind: str = "view", number: int = 1, **changes: Any
) -> FeatureRecord:
    """Return the record of a view of a clip; the features of fakes are shifted."""
    fake = kind == "blend" or clip.label == 1
    name = f"{clip.video_id}@{kind}{number}"
    record = make_record(name, seed=_seed(name), shift=float(fake))
    facts = {"view": {"kind": kind, "number": number, "of": clip.video_id, "settings": {"seed": 0}}}
    values = {
        "video_id": name,
        "label": 1 if kind == "blend" else clip.label,
        "groups": clip.groups,
        "split": clip.split,
        "source": clip.source,
        "facts": facts,
        **changes,
    }
    return replace(record, **values)


def _seed(name: str) -> int:
    return sum(ord(letter) * 31**position for position, letter in enumerate(name)) % 2**31


def clips(count: int = 40, fakes: bool = True, **changes: Any) -> list[FeatureRecord]:
    """Return clips, two per person; every other one is fake if `fakes`."""
    return [
        make_record(
            f"{number:03}.mp4",
            seed=number,
            shift=float(fakes and number % 2),
            label=number % 2 if fakes else 0,
            groups=(f"person{number % (count // 2)}",),
            **changes,
        )
        for number in range(count)
    ]


def with_views(
    records: Iterable[FeatureRecord], kinds: Iterable[str] = ("view", "blend"), each: int = 1
) -> Iterator[FeatureRecord]:
    """Yield the views of each clip, then the clip; only real clips have blended fakes."""
    for record in records:
        for kind in kinds:
            for number in range(1, each + 1):
                if kind == "view" or record.label == 0:
                    yield view_of(record, kind, number)
        yield record


def real_store(path: Path, count: int = 60, **changes: Any) -> FeatureStore:
    """Write a store of real clips, each with a self-blended fake."""
    return write_store(path, with_views(clips(count, fakes=False, **changes), ("blend",)))
