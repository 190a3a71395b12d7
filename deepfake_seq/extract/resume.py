"""What a run has still to do, seen from the store, which other runs may be writing to as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import identify
from deepfake_seq.store import FAILED_STATUSES, Entry, FeatureRecord, SourceFile, StoreWriter
from deepfake_seq.store.record import ASSIGNED_FACTS, empty_arrays


class Todo(NamedTuple):
    """A video to be extracted.

    Attributes:
        item: The video.
        revision: The newest of its records that was seen, which does not stand; 0 if there is none.
    """

    item: VideoItem
    revision: int


ELSEWHERE = "elsewhere"
"""The status of a video that another run is extracting."""


class Outcome(NamedTuple):
    """What became of a video.

    Attributes:
        video_id: The video.
        status: A key of `store.STATUSES`, or `ELSEWHERE`.
        reason: Why it is not `ok`.
        transient: Whether a failure says nothing about the video itself.
        skipped: Whether its records stand as they were, or were made by another run.
        relabelled: Whether the data set tells something else of it than before.
    """

    video_id: str
    status: str
    reason: str = ""
    transient: bool = False
    skipped: bool = False
    relabelled: bool = False


class Resumption:
    """Sorts videos into those whose records stand and those to be extracted, and commits these.

    Records stand while their file has the same content, unless they are a failure that is to be
    tried again. If only what the data set tells (label, groups, split, method, its name) or the
    file's time are other than before, they are committed anew with the same features.

    Args:
        store: Where the records are.
        everyone: Whether a video has a record for each person.
        retry_failed: Whether to take up failures that lie in the video, too.
        on_standing: Called with what became of each video whose records stand.
    """

    def __init__(
        self,
        store: StoreWriter,
        everyone: bool,
        retry_failed: bool,
        on_standing: Callable[[Outcome], None],
    ) -> None:
        self._store = store
        self._everyone = everyone
        self._retry_failed = retry_failed
        self._on_standing = on_standing

    def pending(self, items: Iterable[VideoItem]) -> list[Todo]:
        """Those of `items` that must be extracted."""
        pending = []
        for item in items:
            entry = self._first(item)
            if entry is None or self._tries_again(entry) or not self._keep(item, entry):
                self._store.release(item.video_id)  # so that nothing is claimed while others wait
                pending.append(Todo(item, entry.revision if entry else 0))
        return pending

    def claimed(
        self, todos: Iterable[Todo], on_elsewhere: Callable[[Todo], None]
    ) -> Iterator[Todo]:
        """Those of `todos` that this run may extract now, each claimed as it is asked for.

        Args:
            todos: What `pending` gave, here or in another process.
            on_elsewhere: Called with each video that another run is extracting.
        """
        for todo in todos:
            item = todo.item
            if not self._store.claim(item.video_id):
                on_elsewhere(todo)
                continue
            entry = self._first(item)
            # Whatever another run has made of it since is not made again.
            since = entry is not None and entry.revision > todo.revision
            if not (since and entry is not None and self._keep(item, entry)):
                yield todo

    def commit(self, item: VideoItem, records: Sequence[FeatureRecord]) -> None:
        """Keep the records of a claimed video, the first one last: with it, the video is done."""
        for number in self._further(item, len(records)):
            self._store.commit(_gone(self._store[record_id(item.video_id, number)], len(records)))
        for record in reversed(records):
            self._store.commit(record)
        self._store.release(item.video_id)

    def _first(self, item: VideoItem) -> Entry | None:
        return self._store.entry(record_id(item.video_id, 0 if self._everyone else None))

    def _further(self, item: VideoItem, start: int) -> Iterator[int]:
        """The numbers from `start` on of people of whom there is a record."""
        if self._everyone:
            for number in count(start):
                if record_id(item.video_id, number) not in self._store:
                    return
                yield number

    def _tries_again(self, entry: Entry) -> bool:
        return entry.transient or (self._retry_failed and entry.status in FAILED_STATUSES)

    def _keep(self, item: VideoItem, entry: Entry) -> bool:
        """Whether the records stand; brings them up to date, and gives the video back, if so.

        If not, the video may be claimed.
        """
        source = _source_now(item, entry.source)
        if source is None:
            return False
        assigned = (item.label, item.groups, item.split, item.facts)
        relabelled = False
        if entry.assigned != assigned or source != entry.source:
            self._store.claim(item.video_id, wait=True)
            now = self._first(item)
            if now is None or now.revision != entry.revision:
                return now is not None and self._keep(item, now)  # another run was here
            relabelled = entry.assigned != assigned
            names = [record_id(item.video_id, number) for number in self._further(item, 0)]
            for name in reversed(names or [item.video_id]):
                self._store.commit(_assigned(self._store[name], item, source))
        self._store.release(item.video_id)
        reason = str(entry.metadata["reason"])
        standing = Outcome(item.video_id, entry.status, reason, entry.transient, True, relabelled)
        self._on_standing(standing)
        return True


def record_id(video_id: str, number: int | None) -> str:
    """What the record of a video's person is called, or of the video where there is one alone."""
    return video_id if number is None else f"{video_id}#{number}"


def _assigned(record: FeatureRecord, item: VideoItem, source: SourceFile) -> FeatureRecord:
    """The record with what is told of the video now, and its file as it is now."""
    own = {name: value for name, value in record.facts.items() if name not in ASSIGNED_FACTS}
    return replace(
        record,
        label=item.label,
        groups=item.groups,
        split=item.split,
        source=source,
        facts=own | item.facts,
    )


def _gone(record: FeatureRecord, people: int) -> FeatureRecord:
    """The record of somebody whom the video, as it is now, does not show."""
    return replace(
        record,
        status="no_face",
        reason=f"the video as it is now shows {people} people",
        **empty_arrays(*record.features.shape),
    )


def _source_now(item: VideoItem, known: SourceFile) -> SourceFile | None:
    """The file as it is now if its content is what it was, else None."""
    try:
        now = item.path.stat()
        if now.st_size != known.size_bytes:
            return None
        if now.st_mtime_ns == known.mtime_ns:
            return known
        source = identify(item.path)
        return source if source.sha256 == known.sha256 else None
    except VideoError:
        return None  # something else than a file stands in its place
    except OSError:
        return known  # the file went away, or cannot be read now: what is known of it stays
