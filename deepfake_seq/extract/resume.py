"""What a run has still to do, seen from the store, which other runs may be writing to as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import identify
from deepfake_seq.store import FAILED_STATUSES, Entry, SourceFile, StoreWriter


class Resumption:
    """Sorts videos into those whose record stands and those to be extracted.

    A record stands while its file has the same content, unless it is a failure that is to be tried
    again. If only the label, groups, split or the file's time are other than before, the record is
    committed anew with the same features.

    Args:
        store: Where the records are.
        retry_failed: Whether to take up failures that lie in the video, too.
        on_standing: Called with each video whose record stands, and whether it got a new label,
            group or split.
    """

    def __init__(
        self,
        store: StoreWriter,
        retry_failed: bool,
        on_standing: Callable[[VideoItem, bool], None],
    ) -> None:
        self._store = store
        self._retry_failed = retry_failed
        self._on_standing = on_standing
        self._seen: dict[str, int] = {}

    def pending(self, items: Iterable[VideoItem]) -> list[VideoItem]:
        """Those of `items` that must be extracted."""
        pending = []
        for item in items:
            entry = self._store.entry(item.video_id)
            self._seen[item.video_id] = entry.revision if entry else 0
            if entry is None or self._tries_again(entry) or not self._keep(item, entry):
                pending.append(item)
        return pending

    def claimed(
        self, pending: Iterable[VideoItem], on_elsewhere: Callable[[VideoItem], None]
    ) -> Iterator[VideoItem]:
        """Those of `pending` that this run may extract now, each claimed as it is asked for.

        Args:
            pending: What `pending` gave.
            on_elsewhere: Called with each video that another run is extracting.
        """
        for item in pending:
            if not self._store.claim(item.video_id):
                on_elsewhere(item)
                continue
            entry = self._store.entry(item.video_id)
            # Whatever another run has made of it since is not made again.
            since = entry is not None and entry.revision > self._seen[item.video_id]
            if since and entry is not None and self._keep(item, entry):
                self._store.release(item.video_id)
            else:
                yield item

    def _tries_again(self, entry: Entry) -> bool:
        return entry.transient or (self._retry_failed and entry.status in FAILED_STATUSES)

    def _keep(self, item: VideoItem, entry: Entry) -> bool:
        """Whether the record stands; brings it up to date if it does."""
        source = _source_now(item, entry.source)
        if source is None:
            return False
        assigned = (item.label, item.groups, item.split)
        relabelled = entry.assigned != assigned
        if relabelled or source != entry.source:
            self._store.claim(item.video_id, wait=True)
            record = replace(self._store[item.video_id], source=source)
            label, groups, split = assigned
            self._store.commit(replace(record, label=label, groups=groups, split=split))
        self._on_standing(item, relabelled)
        return True


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
