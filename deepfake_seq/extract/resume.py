"""Skip videos whose records are up to date; claim and commit the others.

Other runs may write to the same store at the same time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from deepfake_seq.config import LimitsConfig
from deepfake_seq.config.execution import exceeds_a_limit
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.evidence.table import BLOCK_TABLE
from deepfake_seq.extract.records.pending import ExtractedVideo
from deepfake_seq.extract.records.views import is_pseudo_fake, wanted_views
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.sources import CachedSources, FileSources, Sources
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import (
    FAILED_STATUSES,
    Entry,
    FaceRecord,
    FaceStore,
    FeatureRecord,
    SourceFile,
    Store,
)
from deepfake_seq.store.origins import Origins
from deepfake_seq.store.record_ids import VIEW_FACT, people_in, record_id, views_in
from deepfake_seq.store.records.record import ASSIGNED_FACTS, EVIDENCE_FACT

AnyRecord = TypeVar("AnyRecord", FeatureRecord, FaceRecord)


class PendingVideo(NamedTuple):
    """A video to be extracted.

    Attributes:
        item: The video.
        revision: Revision of its outdated record in the store; 0 if there is none.
    """

    item: VideoItem
    revision: int


NO_LIMITS_SET = LimitsConfig()
"""Limits that follow each video."""

ELSEWHERE = "elsewhere"
"""The status of a video that another run is extracting."""


class Outcome(NamedTuple):
    """The result of one video.

    Attributes:
        video_id: Id of the video.
        status: A key of `store.STATUSES`, or `ELSEWHERE`.
        reason: Why the status is not `ok`.
        transient: Whether the next extraction tries again, because the machine failed instead of
            the video.
        skipped: Whether its records were already in the store, or were made by another run.
        relabelled: Whether its labels in the store were updated.
        sha256: SHA-256 of the video file in the record, in hex; "" if unknown.
    """

    video_id: str
    status: str
    reason: str = ""
    transient: bool = False
    skipped: bool = False
    relabelled: bool = False
    sha256: str = ""


class ResumableWriter:
    """Writes the records of videos, and skips videos whose records are up to date.

    Records are up to date while the file has the same content, unless they are a failure to be
    retried, or lack something that is requested: cached faces, or views. If only the labels (label,
    groups, split, method, dataset) or the time of the file have changed, the records are updated
    without extracting the video again.

    Args:
        writers: The stores.
        resolved: The settings.
        retry_failed: Whether to extract videos again that failed because of their content.
        limits: Limits on the time and memory of one video; one that exceeded lower limits before is
            extracted again.

    Attributes:
        writers: The stores.
        sources: Where the videos are.
        all_people: Whether each person of a video has a record.
    """

    def __init__(
        self,
        writers: StoreWriters,
        resolved: ResolvedConfig,
        retry_failed: bool = False,
        limits: LimitsConfig = NO_LIMITS_SET,
    ) -> None:
        self.writers = writers
        self._store = writers.features
        self.all_people = resolved.config.faces.people == "all"
        self._options = resolved.extract_options
        self._evidence = {
            name: BLOCK_TABLE[name].settings(resolved.backbone) for name in self._options.evidence
        }
        self.sources: Sources = FileSources()
        if resolved.face_cache:
            self.sources = CachedSources(FaceStore.open(resolved.face_cache), self.all_people)
        self._retry_failed = retry_failed
        self._limits = limits

    def must_extract(self, item: VideoItem) -> bool:
        """Return whether a video must be extracted; change nothing."""
        entry = self._first(item)
        return (
            entry is None
            or self._should_retry(entry)
            or self.sources.current(item, entry.source) is None
            or not self._is_complete(item)
        )

    def check(self, item: VideoItem) -> PendingVideo | Outcome:
        """Return the video if it must be extracted, else the outcome in the store.

        The labels of a video that need not be extracted are updated.
        """
        entry = self._first(item)
        outcome = None
        if entry is not None and not self._should_retry(entry):
            outcome = self._keep(item, entry)
        if outcome is None:
            self._store.release(item.video_id)  # hold no claim while other videos are checked
            return PendingVideo(item, entry.revision if entry else 0)
        return outcome

    def claim(self, video: PendingVideo) -> Outcome | None:
        """Reserve a video for this run; return None if this run must extract it now.

        Otherwise return its outcome: with status `ELSEWHERE` if another run is extracting it, or
        skipped if another run has committed it since it was checked.

        Args:
            video: What `check` returned, here or in another process.

        Raises:
            StoreError: Another run has committed another video of this name.
        """
        item = video.item
        if not self.writers.claim(item.video_id):
            return Outcome(item.video_id, ELSEWHERE)
        # Records that another run has committed since are kept. The revision alone may not show
        # them: `check` may have seen the features of a video before its faces.
        entry = self._first(item)
        if entry is None or (entry.revision == video.revision and self._should_retry(entry)):
            return None
        outcome = self._keep(item, entry)
        if outcome is None and entry.revision != video.revision:
            self._refuse_other_content(item, entry)
        return outcome

    def _refuse_other_content(self, item: VideoItem, entry: Entry) -> None:
        """Refuse to replace what another run has committed from another file."""
        sha256 = entry.source.sha256
        if not sha256 or self.sources.current(item, entry.source) is not None:
            return
        root = Origins.read(self._store.path).root_of(item.video_id, sha256)
        if root != self.sources.root_of(item):
            raise StoreError(
                f"another run has committed another video named {item.video_id} to "
                f"{self._store.path}. It was not replaced. Give one of the runs another --out. "
                f"Received: {item.absolute}"
            )

    def commit(self, video: ExtractedVideo) -> None:
        """Write the records of a claimed video, the first one last: it marks the video as done.

        Features of the same file from an earlier run are not replaced by a failure.
        """
        item = video.item
        if video.records[0].failed and self._has_features(item):
            self._store.release(item.video_id)
            return
        self._empty_outdated(video)
        if self.writers.faces is not None:
            for faces in reversed(video.faces):
                self.writers.faces.commit(faces)
        for record in reversed(video.records):
            self._store.commit(self._with_other_evidence(record))
        self._store.release(item.video_id)

    def _empty_outdated(self, video: ExtractedVideo) -> None:
        """Empty the records of people and views that only an older version of the video had."""
        written = {record.video_id for record in video.records}
        source = video.records[0].source.sha256
        people = [record.video_id for record in video.records if VIEW_FACT not in record.facts]
        for store in self.writers.stores:
            # Not from the first person on: a crash may have left others without it.
            others = list(people_in(store, video.item.video_id, self.all_people, len(people)))
            views = [view for person in (*people, *others) for view in views_in(store, person)]
            for name in others:
                store.commit(_emptied(store[name], len(people)))
            for name in views:
                if name not in written and source and store[name].source.sha256 != source:
                    store.commit(_emptied(store[name], len(people)))

    def _has_features(self, item: VideoItem) -> bool:
        """Return whether the store has features of the current version of the file."""
        entry = self._first(item)
        if entry is None or entry.status in FAILED_STATUSES:
            return False
        return self.sources.current(item, entry.source) is not None

    def _first(self, item: VideoItem) -> Entry | None:
        return self._store.entry(record_id(item.video_id, 0 if self.all_people else None))

    def _people(self, item: VideoItem, store: Store[Any]) -> list[str]:
        return list(people_in(store, item.video_id, self.all_people))

    def _names(self, item: VideoItem, store: Store[Any]) -> list[str]:
        """Return the ids of all records of a video in a store: its people, then their views."""
        people = self._people(item, store)
        return [*people, *(name for person in people for name in views_in(store, person))]

    def _should_retry(self, entry: Entry) -> bool:
        if self._retry_failed and entry.status in FAILED_STATUSES:
            return True
        return entry.transient and self._limits.exceed(entry.metadata["facts"])

    def _is_complete(self, item: VideoItem) -> bool:
        """Return whether the requested faces, views and evidence of everyone are in the stores."""
        extra = self._options.evidence or self._options.views.wanted(item.label)
        if self.writers.faces is None and not extra:
            return True  # saves looking up every video of a large store
        for number, name in enumerate(self._people(item, self._store)):
            entry = self._store.entry(name)
            assert entry is not None
            failed = entry.status in FAILED_STATUSES
            if failed and number:
                continue  # a person in an older version of the video
            if self.writers.faces is not None:
                faces = self.writers.faces.entry(name)
                if faces is None or not _same_video(faces, entry):
                    return False
            if failed:
                continue
            if not self._has_evidence(entry):
                return False
            for view_id, settings in wanted_views(name, item.label, self._options.views):
                view = self._store.entry(view_id)
                if view is None or not _same_video(view, entry) or not self._has_evidence(view):
                    return False
                if view.metadata["facts"].get(VIEW_FACT, {}).get("settings") != settings:
                    return False
        return True

    def _has_evidence(self, entry: Entry) -> bool:
        """Return whether a record has the requested evidence blocks with today's settings."""
        stored = entry.metadata["facts"].get(EVIDENCE_FACT, {})
        return all(stored.get(name) == settings for name, settings in self._evidence.items())

    def _with_other_evidence(self, record: FeatureRecord) -> FeatureRecord:
        """Return a record with the evidence blocks that only its present record has."""
        if record.failed or record.video_id not in self._store:
            return record
        present = self._store[record.video_id]
        is_same = present.source.sha256 == record.source.sha256
        if not is_same or not np.array_equal(present.features, record.features):
            return record
        settings = present.facts.get(EVIDENCE_FACT, {}) | record.facts.get(EVIDENCE_FACT, {})
        facts = record.facts | ({EVIDENCE_FACT: settings} if settings else {})
        return replace(record, facts=facts, evidence={**present.evidence, **record.evidence})

    def _keep(self, item: VideoItem, entry: Entry) -> Outcome | None:
        """Update and release a video whose records are up to date, and return its outcome.

        Return None if the video must be extracted; it may then still be claimed.
        """
        source = self.sources.current(item, entry.source)
        if source is None or not self._is_complete(item):
            return None
        outdated = [
            store for store in self.writers.stores if self._is_outdated(item, source, store)
        ]
        relabelled = False
        if outdated:
            self.writers.claim(item.video_id, wait=True)
            now = self._first(item)
            if now is None or now.revision != entry.revision:  # another run changed it meanwhile
                return None if now is None else self._keep(item, now)
            relabelled = entry.assigned != _assigned_to(item)
            for store in reversed(outdated):  # the features last: that releases the video
                for name in reversed(self._names(item, store)):
                    store.commit(self._updated(store, store[name], item, source))
        self._store.release(item.video_id)
        return Outcome(
            item.video_id,
            entry.status,
            str(entry.metadata["reason"]),
            entry.transient and not exceeds_a_limit(entry.metadata["facts"]),
            skipped=True,
            relabelled=relabelled,
            sha256=source.sha256,
        )

    def _is_outdated(self, item: VideoItem, source: SourceFile, store: Store[Any]) -> bool:
        """Return whether labels, file or facts differ from the first record (updated last)."""
        entry = store.entry(record_id(item.video_id, 0 if self.all_people else None))
        return entry is not None and (
            entry.assigned != _assigned_to(item)
            or entry.source != source
            or (store is self._store and not self._has_facts(item, entry, source))
        )

    def _has_facts(self, item: VideoItem, entry: Entry, source: SourceFile) -> bool:
        """Return whether the record has the facts that the current options give it."""
        facts = entry.metadata["facts"]
        now = self._options.facts_of(entry.metadata["video_id"], source, item.groups, facts)
        return all(facts.get(name) == value for name, value in now.items())

    def _updated(
        self, store: Store[Any], record: AnyRecord, item: VideoItem, source: SourceFile
    ) -> AnyRecord:
        """Return the record with the current labels, facts and file."""
        label, facts = record.label, record.facts
        if not is_pseudo_fake(record.facts):
            label = item.label
            facts = {name: fact for name, fact in facts.items() if name not in ASSIGNED_FACTS}
            facts = facts | item.facts
        if store is self._store:
            facts = facts | self._options.facts_of(record.video_id, source, item.groups, facts)
        return replace(
            record, label=label, groups=item.groups, split=item.split, source=source, facts=facts
        )


def _same_video(one: Entry, other: Entry) -> bool:
    return one.source.sha256 == other.source.sha256


def _assigned_to(item: VideoItem) -> tuple[int, tuple[str, ...], str, dict[str, str]]:
    """Return the labels that the data set assigns to a video, in the form of `Entry.assigned`."""
    return item.label, item.groups, item.split, item.facts


def _emptied(record: AnyRecord, people: int) -> AnyRecord:
    """Empty the record of a person or view that the current version of the video lacks."""
    reason = f"the current version of the video shows fewer people: {people}"
    if VIEW_FACT in record.facts:
        reason = "made from an older version of the video"
    return record.without_frames("no_face", reason)
