"""Match videos with the records of a store: moved videos, names of other videos, deleted videos.

Nothing here changes the store. A name that belongs to another video, and a deletion that may be a
disk that is not mounted, are refused before anything is extracted.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deepfake_seq.datasets import UNKNOWN, VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.sources import Places, Sources
from deepfake_seq.store import Entry, FeatureStore
from deepfake_seq.store.origins import Origins
from deepfake_seq.store.record_ids import record_id, video_of

_MAX_LISTED = 3


class NameClashError(StoreError):
    """Videos have the names of other videos in the store; the message has several lines."""

    is_multiline = True


@dataclass(frozen=True)
class Match:
    """Videos and their records in a store.

    Attributes:
        items: The videos to extract or to skip; one that the store has under a longer name, because
            it was extracted from a folder above, has that name.
        moves: New id of each video that was moved or renamed, by the id of its records.
        gone: Ids of the videos in the store whose files are gone; empty unless looked for.
        unknown: Number of videos in the store of which it is not known where their files were.
    """

    items: Sequence[VideoItem]
    moves: dict[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    unknown: int = 0


class Matcher:
    """Matches videos with the records of a store.

    Args:
        store: The store.
        sources: Where the videos are.
        all_people: Whether each person of a video has a record.
    """

    def __init__(self, store: FeatureStore, sources: Sources, all_people: bool) -> None:
        self._store = store
        self._sources = sources
        self._person = 0 if all_people else None
        self._places = Places(all_people)
        self._origins = Origins.read(store.path)
        self._roots = set(self._origins.roots)

    def match(self, items: Sequence[VideoItem], *, find_gone: bool = False) -> Match:
        """Match videos with the records of the store.

        Args:
            items: The videos.
            find_gone: Whether to look for records whose files are gone.

        Raises:
            NameClashError: Videos have the names of other videos in the store.
            StoreError: It is not clear whether the files of videos were deleted.
        """
        moves: dict[str, str] = {}
        given = {item.video_id for item in items}
        items = [self._at_same_path(item, given, moves) for item in items]
        self._refuse_other_videos(item for item in items if item.video_id not in moves)
        targets = set(moves.values())
        new = [
            item
            for item in items
            if item.video_id not in targets
            and (item.video_id in moves or not self._has(item.video_id))
        ]
        moves |= self._moved(new, moves)
        if not find_gone:
            return Match(items, moves)
        kept = {item.video_id for item in items} | moves.keys()
        gone, unknown = self._gone(kept)
        return Match(items, moves, gone, unknown)

    def _has(self, video_id: str) -> bool:
        return record_id(video_id, self._person) in self._store

    def _entry(self, video_id: str) -> Entry | None:
        return self._store.entry(record_id(video_id, self._person))

    def _root_of(self, video_id: str, entry: Entry) -> str | None:
        return self._origins.root_of(video_id, entry.source.sha256)

    def _at_same_path(self, item: VideoItem, given: set[str], moves: dict[str, str]) -> VideoItem:
        """Find the record of the same path, extracted from a folder above or below.

        The longer id is used: it says more, and ids from a common folder do not clash.
        """
        if not self._roots or self._has(item.video_id):
            return item
        root = self._sources.root_of(item)
        path = Path(root, item.video_id)
        for folder in path.parents:
            other = str(folder)
            if other == root or other not in self._roots:
                continue
            video_id = path.relative_to(folder).as_posix()
            entry = self._entry(video_id)
            if entry is None or video_id in given or self._root_of(video_id, entry) != other:
                continue
            if len(video_id) < len(item.video_id):
                moves[video_id] = item.video_id
                return item
            return _with_labels_of(replace(item, video_id=video_id), entry)
        return item

    def _refuse_other_videos(self, items: Iterable[VideoItem]) -> None:
        """Refuse videos whose names belong to other videos in the store.

        Only videos from another folder than the recorded one are looked at.
        """
        clashes: list[tuple[VideoItem, str | None]] = []
        for item in items:
            entry = self._entry(item.video_id)
            if entry is None or not entry.source.sha256:
                continue
            root = self._root_of(item.video_id, entry)
            if root == self._sources.root_of(item):
                continue
            if self._sources.current(item, entry.source) is None and not _is_same(root, item):
                clashes.append((item, root))
        if clashes:
            raise NameClashError(self._clash_message(clashes))

    def _clash_message(self, clashes: Sequence[tuple[VideoItem, str | None]]) -> str:
        store = self._store.path
        lines = [
            f"{len(clashes)} videos have the names of other videos in {store}. Nothing was "
            "extracted."
        ]
        for item, root in clashes[:_MAX_LISTED]:
            recorded = str(Path(root, item.video_id)) if root else "a path that is not recorded"
            lines.append(f"  {printable(item.video_id)}")
            lines.append(f"    in the store  {printable(recorded)}")
            now = str(Path(self._sources.root_of(item), item.video_id))
            lines.append(f"    now           {printable(now)}")
        if len(clashes) > _MAX_LISTED:
            lines.append(f"  and {len(clashes) - _MAX_LISTED} more")
        item, root = clashes[0]
        common = self._common_folder(self._sources.root_of(item), root)
        both = f"Extract the folder that contains both, {common}, or give" if common else "Give"
        lines.append(f"{both} another --out.")
        lines.append(
            "If a file was replaced on purpose, remove its old record first: "
            f"`deepseq remove {store} {item.video_id}`"
        )
        return "\n".join(lines)

    def _common_folder(self, root: str, recorded: str | None) -> str:
        """Return the folder that contains two folders; "" if there is none to extract."""
        if not recorded or self._places.is_cache(root) or self._places.is_cache(recorded):
            return ""
        common = Path(os.path.commonpath([root, recorded]))
        return str(common) if common != Path(common.anchor) else ""

    def _moved(self, new: Sequence[VideoItem], taken: dict[str, str]) -> dict[str, str]:
        """Return the moves of videos whose content is in the store, while the old path is gone."""
        if not new or not self._origins:
            return {}
        by_size: defaultdict[int, list[tuple[str, Entry]]] = defaultdict(list)
        for video_id, entry in self._videos():
            if entry.source.sha256:
                by_size[entry.source.size_bytes].append((video_id, entry))
        moves: dict[str, str] = {}
        for item in new:
            candidates = [
                (video_id, entry)
                for video_id, entry in by_size.get(self._sources.size_of(item) or -1, ())
                if video_id not in taken
                and video_id not in moves
                and self._is_gone(video_id, entry)
            ]
            sha256 = self._sources.sha256_of(item) if candidates else ""
            same = [video_id for video_id, entry in candidates if entry.source.sha256 == sha256]
            if same:
                name = Path(item.video_id).name
                moves[max(same, key=lambda video_id: Path(video_id).name == name)] = item.video_id
        return moves

    def _videos(self) -> Iterator[tuple[str, Entry]]:
        """Yield the id of each video in the store, and the record of its first person."""
        for name in self._store.video_ids:
            video_id = video_of(name)
            if name == record_id(video_id, self._person):
                entry = self._store.entry(name)
                assert entry is not None
                yield video_id, entry

    def _is_gone(self, video_id: str, entry: Entry) -> bool:
        root = self._root_of(video_id, entry)
        return root is not None and self._places.is_gone(root, video_id)

    def _gone(self, kept: set[str]) -> tuple[tuple[str, ...], int]:
        """Return the videos whose files are gone, and the number of those that may be.

        Args:
            kept: Ids of videos that are there.
        """
        gone: list[str] = []
        missing: Counter[str] = Counter()
        count = unknown = 0
        for video_id, entry in self._videos():
            count += 1
            if video_id in kept:
                continue
            root = self._root_of(video_id, entry)
            if root is None:
                unknown += 1
            elif not self._places.exists(root):
                missing[root] += 1
            elif self._places.is_gone(root, video_id):
                folder = self._places.empty_folder(root, video_id)
                if folder is None:
                    gone.append(video_id)
                else:
                    missing[folder] += 1
        if missing:
            raise StoreError(_missing_message(missing, self._store.path))
        if gone and len(gone) == count:
            raise StoreError(
                f"--prune would remove all {count} videos of {self._store.path}: none of their "
                "files exists. Nothing was changed. Give another --out for new videos; to remove "
                f"the old ones on purpose, `deepseq remove {self._store.path} ID...`."
            )
        return tuple(gone), unknown


def _with_labels_of(item: VideoItem, entry: Entry) -> VideoItem:
    """Return the item with the recorded labels if its path gives none."""
    if item.label != UNKNOWN:
        return item
    label, groups, split, facts = entry.assigned
    return replace(
        item,
        label=label,
        groups=groups,
        split=split,
        method=str(facts.get("method", "")),
        dataset=str(facts.get("dataset", "")),
    )


def _is_same(root: str | None, item: VideoItem) -> bool:
    """Return whether an item is the file at its recorded place, reached by another path."""
    try:
        return root is not None and item.path.samefile(Path(root, item.video_id))
    except OSError:
        return False


def printable(path: str) -> str:
    """Return a path, or its representation if it contains control characters."""
    return path if path.isprintable() else repr(path)


def _missing_message(missing: Counter[str], store: Path) -> str:
    examples = ", ".join(
        f"{folder} ({count} videos)" for folder, count in missing.most_common(_MAX_LISTED)
    )
    more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
    folder = missing.most_common(1)[0][0]
    return (
        f"--prune cannot tell whether videos were deleted: these folders are missing or empty, "
        f"as if their disk were not mounted: {examples}{more}. Nothing was changed. Mount the "
        "disk, or delete the empty folder. To remove the records on purpose, first extract without "
        f"--prune, which notes where all other videos are, then `deepseq remove {store} --folder "
        f"{folder}`."
    )
