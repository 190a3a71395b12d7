"""What a run has still to do, seen from the store, which other runs may be writing to as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.records.from_faces import CachedSources
from deepfake_seq.extract.records.pending import ExtractedVideo
from deepfake_seq.extract.records.views import is_pseudo_fake, wanted_views
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video.decode import identify
from deepfake_seq.extract.writers import Cache
from deepfake_seq.store import (
    FAILED_STATUSES,
    Entry,
    FaceRecord,
    FaceStore,
    FeatureRecord,
    SourceFile,
    Store,
)
from deepfake_seq.store.record_ids import people_in, record_id, views_in
from deepfake_seq.store.records.record import ASSIGNED_FACTS

AnyRecord = TypeVar("AnyRecord", FeatureRecord, FaceRecord)


class PendingVideo(NamedTuple):
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


SourceNow = Callable[[VideoItem, SourceFile], SourceFile | None]
"""Tells what a video's file looks like now if its content is the known one; None if it is not."""


class Resumption:
    """Sorts videos into those whose records stand and those to be extracted, and commits these.

    Records stand while their file has the same content, unless they are a failure that is to be
    tried again, or something that is asked for is missing: cached faces, or views. If only what the
    data set tells (label, groups, split, method, its name) or the file's time are other than
    before, they are committed anew with the same content.

    Args:
        cache: Where the records are.
        resolved: The settings.
        retry_failed: Whether to take up failures that lie in the video, too.
        on_standing: Called with what became of each video whose records stand.
    """

    def __init__(
        self,
        cache: Cache,
        resolved: ResolvedConfig,
        retry_failed: bool,
        on_standing: Callable[[Outcome], None],
    ) -> None:
        self._cache = cache
        self._store = cache.features
        self._everyone = resolved.config.faces.people == "all"
        self._extras = resolved.extract_options
        self._source_now: SourceNow = source_now
        if resolved.face_cache:
            faces = FaceStore.open(resolved.face_cache)
            self._source_now = CachedSources(faces, self._everyone)
        self._retry_failed = retry_failed
        self._on_standing = on_standing

    def pending(self, items: Iterable[VideoItem]) -> list[PendingVideo]:
        """Those of `items` that must be extracted."""
        pending = []
        for item in items:
            entry = self._first(item)
            if entry is None or self._tries_again(entry) or not self._keep(item, entry):
                self._store.release(item.video_id)  # so that nothing is claimed while others wait
                pending.append(PendingVideo(item, entry.revision if entry else 0))
        return pending

    def claimed(
        self, todos: Iterable[PendingVideo], on_elsewhere: Callable[[PendingVideo], None]
    ) -> Iterator[PendingVideo]:
        """Those of `todos` that this run may extract now, each claimed as it is asked for.

        Args:
            todos: What `pending` gave, here or in another process.
            on_elsewhere: Called with each video that another run is extracting.
        """
        for todo in todos:
            item = todo.item
            if not self._cache.claim(item.video_id):
                on_elsewhere(todo)
                continue
            # What another run has committed since is not extracted again. That may be more than the
            # revision shows: `pending` may have seen the features of a video and not yet its faces.
            entry = self._first(item)
            is_known = entry is not None and entry.revision == todo.revision
            if (
                entry is None
                or (is_known and self._tries_again(entry))
                or not self._keep(item, entry)
            ):
                yield todo

    def commit(self, video: ExtractedVideo) -> None:
        """Keep the records of a claimed video, the first one last: with it, the video is done.

        What was made of the very same file before is not given up for a failure.
        """
        item = video.item
        if video.records[0].failed and self._stands(item):
            self._store.release(item.video_id)
            return
        self._clear_away(video)
        if self._cache.faces is not None:
            for faces in reversed(video.faces):
                self._cache.faces.commit(faces)
        for record in reversed(video.records):
            self._store.commit(record)
        self._store.release(item.video_id)

    def _clear_away(self, video: ExtractedVideo) -> None:
        """Take away what an older version of the video had, and this one has not."""
        made = {record.video_id for record in video.records}
        source = video.records[0].source.sha256
        people = [own.video_id for own in video.records if "view" not in own.facts]
        for store in self._cache.stores:
            # Not from the first one on: a crash may have left others without it.
            further = list(people_in(store, video.item.video_id, self._everyone, len(people)))
            views = [view for own in (*people, *further) for view in views_in(store, own)]
            for name in further:
                store.commit(_gone(store[name], len(people)))
            for name in views:
                if name not in made and source and store[name].source.sha256 != source:
                    store.commit(_gone(store[name], len(people)))

    def _stands(self, item: VideoItem) -> bool:
        """Whether there are features of the file as it is."""
        entry = self._first(item)
        if entry is None or entry.status in FAILED_STATUSES:
            return False
        return self._source_now(item, entry.source) is not None

    def _first(self, item: VideoItem) -> Entry | None:
        return self._store.entry(record_id(item.video_id, 0 if self._everyone else None))

    def _people(self, item: VideoItem, store: Store[Any]) -> list[str]:
        return list(people_in(store, item.video_id, self._everyone))

    def _names(self, item: VideoItem, store: Store[Any]) -> list[str]:
        """The names of all records of a video in a store: its people, and behind them the views."""
        people = self._people(item, store)
        return [*people, *(name for person in people for name in views_in(store, person))]

    def _tries_again(self, entry: Entry) -> bool:
        return entry.transient or (self._retry_failed and entry.status in FAILED_STATUSES)

    def _is_complete(self, item: VideoItem) -> bool:
        """Whether there is all that is asked for: the faces, and the views, of every person."""
        if self._cache.faces is None and not self._extras.views.wanted(item.label):
            return True  # without a further look at every video of a large store
        for number, name in enumerate(self._people(item, self._store)):
            entry = self._store.entry(name)
            assert entry is not None
            failed = entry.status in FAILED_STATUSES
            if failed and number:
                continue  # somebody whom an older version of the video showed
            if self._cache.faces is not None:
                faces = self._cache.faces.entry(name)
                if faces is None or not _same_video(faces, entry):
                    return False
            if failed:
                continue
            for view, settings in wanted_views(name, item.label, self._extras.views):
                made = self._store.entry(view)
                if made is None or not _same_video(made, entry):
                    return False
                if made.metadata["facts"].get("view", {}).get("settings") != settings:
                    return False
        return True

    def _keep(self, item: VideoItem, entry: Entry) -> bool:
        """Whether the records stand; brings them up to date, and gives the video back, if so.

        If not, the video may be claimed.
        """
        source = self._source_now(item, entry.source)
        if source is None or not self._is_complete(item):
            return False
        outdated = [store for store in self._cache.stores if self._is_outdated(item, source, store)]
        relabelled = False
        if outdated:
            self._cache.claim(item.video_id, wait=True)
            now = self._first(item)
            if now is None or now.revision != entry.revision:
                return now is not None and self._keep(item, now)  # another run was here
            relabelled = entry.assigned != _assigned_to(item)
            for store in reversed(outdated):  # with the features, the video is given back
                for name in reversed(self._names(item, store)):
                    store.commit(self._assigned(store, store[name], item, source))
        self._store.release(item.video_id)
        reason = str(entry.metadata["reason"])
        standing = Outcome(item.video_id, entry.status, reason, entry.transient, True, relabelled)
        self._on_standing(standing)
        return True

    def _is_outdated(self, item: VideoItem, source: SourceFile, store: Store[Any]) -> bool:
        """Whether the first record in a store, which is brought up to date last, tells old news."""
        entry = store.entry(record_id(item.video_id, 0 if self._everyone else None))
        return entry is not None and (
            entry.assigned != _assigned_to(item)
            or entry.source != source
            or (store is self._store and not self._told(item, entry.metadata, source))
        )

    def _told(self, item: VideoItem, known: Mapping[str, Any], source: SourceFile) -> bool:
        """Whether the features' record says what is told beside what was seen, as it is now."""
        now = self._extras.facts_of({**known, "groups": item.groups, "source": source})
        return all(known["facts"].get(name) == fact for name, fact in now.items())

    def _assigned(
        self, store: Store[Any], record: AnyRecord, item: VideoItem, source: SourceFile
    ) -> AnyRecord:
        """The record with what is told of the video now, and its file as it is now."""
        facts = {name: fact for name, fact in record.facts.items() if name not in ASSIGNED_FACTS}
        label = item.label
        if is_pseudo_fake(record.facts):
            label, facts = record.label, record.facts
        else:
            facts = facts | item.facts
        changed = replace(
            record, label=label, groups=item.groups, split=item.split, source=source, facts=facts
        )
        if store is self._store:
            facts = facts | self._extras.facts_of(vars(changed))
        return replace(changed, facts=facts)


def source_now(item: VideoItem, known: SourceFile) -> SourceFile | None:
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


def _same_video(one: Entry, other: Entry) -> bool:
    return one.source.sha256 == other.source.sha256


def _assigned_to(item: VideoItem) -> tuple[int, tuple[str, ...], str, dict[str, str]]:
    """What the data set tells of a video, as `Entry.assigned` has it."""
    return item.label, item.groups, item.split, item.facts


def _gone(record: AnyRecord, people: int) -> AnyRecord:
    """The record of somebody, or of a view, that the video, as it is now, does not have."""
    reason = f"the video as it is now shows {people} people"
    if "view" in record.facts:
        reason = "made from a version of the video that is no longer there"
    return record.without_frames("no_face", reason)
