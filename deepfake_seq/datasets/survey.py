"""What is in a data set: classes by part and by method, and groups on two sides.

Pure functions of items: no file is opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.splits import SPLITS

NO_SPLIT = "no part"


@dataclass(frozen=True)
class ClassCount:
    """How many videos of each class something holds, and how many groups are in them."""

    name: str
    real: int
    fake: int
    unknown: int
    groups: int


def count_classes(name: str, items: Sequence[VideoItem]) -> ClassCount:
    """The classes in `items`."""
    labels = [item.label for item in items]
    real, fake, unknown = (labels.count(label) for label in (REAL, FAKE, UNKNOWN))
    groups = {group for item in items for group in item.groups}
    return ClassCount(name, real, fake, unknown, len(groups))


def by_part(items: Sequence[VideoItem]) -> list[ClassCount]:
    """The classes in each part that the data set assigns, and in what is in no part."""
    rows = {row.name: row for row in _by(items, lambda item: item.split or NO_SPLIT)}
    return [rows[name] for name in (*SPLITS, NO_SPLIT) if name in rows]


def by_method(items: Sequence[VideoItem]) -> list[ClassCount]:
    """The classes by how the fakes were made; what has no method goes by its label."""
    rows = _by(items, lambda item: item.method or LABEL_NAMES[item.label])
    order = {LABEL_NAMES[REAL]: 0, LABEL_NAMES[UNKNOWN]: 2}  # fakes between them
    return sorted(rows, key=lambda row: (order.get(row.name, 1), row.name.lower()))


def distribution(items: Sequence[VideoItem]) -> dict[str, list[ClassCount]]:
    """The classes by `part` and by `method`, as far as there is more than one; else by `class`."""
    tables = {"part": by_part(items), "method": by_method(items)}
    if len(tables["part"]) == 1:
        del tables["part"]
    if not any(item.method for item in items):
        del tables["method"]
    return tables or {"class": [count_classes("all videos", items)]}


def groups_in_several_splits(items: Sequence[VideoItem]) -> list[str]:
    """The groups that stand in more than one part; what is in no part counts as one."""
    parts = defaultdict(set)
    for item in items:
        for group in item.groups:
            parts[group].add(item.split)
    return sorted(group for group, own in parts.items() if len(own) > 1)


def _by(items: Sequence[VideoItem], key: Callable[[VideoItem], str]) -> list[ClassCount]:
    members = defaultdict(list)
    for item in items:
        members[key(item)].append(item)
    return [count_classes(name, own) for name, own in members.items()]
