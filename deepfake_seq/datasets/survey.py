"""Count what a data set contains: classes by split and by method, groups in several splits.

Pure functions of items: they open no file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.splits import SPLITS

NO_SPLIT = "no split"


@dataclass(frozen=True)
class ClassCount:
    """Number of videos of each class in a subset of the videos.

    Attributes:
        name: Name of the subset.
        real: Number of real videos.
        fake: Number of fake videos.
        unknown: Number of videos without a label.
        groups: Number of distinct groups.
    """

    name: str
    real: int
    fake: int
    unknown: int
    groups: int


def count_classes(name: str, items: Sequence[VideoItem]) -> ClassCount:
    """Count the classes and groups in `items`."""
    labels = [item.label for item in items]
    real, fake, unknown = (labels.count(label) for label in (REAL, FAKE, UNKNOWN))
    groups = {group for item in items for group in item.groups}
    return ClassCount(name, real, fake, unknown, len(groups))


def by_split(items: Sequence[VideoItem]) -> list[ClassCount]:
    """Count the classes in each split that the data set assigns, and in videos without a split."""
    rows = {row.name: row for row in _count_by(items, lambda item: item.split or NO_SPLIT)}
    return [rows[name] for name in (*SPLITS, NO_SPLIT) if name in rows]


def by_method(items: Sequence[VideoItem]) -> list[ClassCount]:
    """Count the classes by method of manipulation, or by label for videos without a method."""
    rows = _count_by(items, lambda item: item.method or LABEL_NAMES[item.label])
    order = {LABEL_NAMES[REAL]: 0, LABEL_NAMES[UNKNOWN]: 2}  # the methods come between them
    return sorted(rows, key=lambda row: (order.get(row.name, 1), row.name.lower()))


def distribution(items: Sequence[VideoItem]) -> dict[str, list[ClassCount]]:
    """Count the classes by `split` and by `method`, or by `class` if the items have neither.

    A table by split is omitted if there is only one, a table by method if no method is known.
    """
    tables = {"split": by_split(items), "method": by_method(items)}
    if len(tables["split"]) == 1:
        del tables["split"]
    if not any(item.method for item in items):
        del tables["method"]
    return tables or {"class": [count_classes("all videos", items)]}


def groups_in_several_splits(items: Sequence[VideoItem]) -> list[str]:
    """Return the groups found in more than one split, sorted; "no split" counts as a split."""
    splits = defaultdict(set)
    for item in items:
        for group in item.groups:
            splits[group].add(item.split)
    return sorted(group for group, names in splits.items() if len(names) > 1)


def _count_by(items: Sequence[VideoItem], key: Callable[[VideoItem], str]) -> list[ClassCount]:
    members = defaultdict(list)
    for item in items:
        members[key(item)].append(item)
    return [count_classes(name, subset) for name, subset in members.items()]
