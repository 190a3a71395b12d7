"""Verify a store: read and check every record, and change nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from deepfake_seq.errors import StoreError
from deepfake_seq.store import locks
from deepfake_seq.store.shards.description import StoreDescription
from deepfake_seq.store.shards.encode import IndexRow
from deepfake_seq.store.shards.guard import ShardAccessError
from deepfake_seq.store.shards.index import list_shards
from deepfake_seq.store.shards.kinds import KINDS, Kind
from deepfake_seq.store.shards.read import Shard


@dataclass(frozen=True)
class BadRecord:
    """A record that is damaged or contradicts another.

    Attributes:
        video_id: Id of the video; "" if it cannot be read.
        shard: File name of the shard.
        position: Row of the record in the shard.
        reason: Reason why the record is unusable.
    """

    video_id: str
    shard: str
    position: int
    reason: str


@dataclass
class StoreReport:
    """Result of verifying a store.

    Attributes:
        store: Path of the directory.
        fingerprint_id: Id of the store's fingerprint.
        videos: Number of videos with an intact record.
        by_status: Number of these videos by status.
        bad_records: Records that are damaged or contradict each other.
        unreadable_shards: Reason why a shard cannot be read or indexed, by file name.
        duplicates: Ids of videos with several intact records: older revisions, or copies left by
            an interrupted run. They are harmless.
        leftovers: Folders left by dead writers. They are harmless; the next run removes them.
        extract_again: Ids of videos without an intact record, as far as they can be read.
        older: Revision that is used because a newer one is damaged, by `video_id`.
        quarantined: Shards that `repair` moved to the quarantine.
        strangers: Unreadable shards with records of another shape; `repair` copies none of them.
    """

    store: str
    fingerprint_id: str
    videos: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    bad_records: list[BadRecord] = field(default_factory=list)
    unreadable_shards: dict[str, str] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    extract_again: list[str] = field(default_factory=list)
    older: dict[str, int] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every shard and record is intact."""
        return not self.bad_shards

    @property
    def bad_shards(self) -> list[str]:
        """Names of the shards that are damaged or contain bad records, sorted."""
        return sorted({bad.shard for bad in self.bad_records} | self.unreadable_shards.keys())


@dataclass(frozen=True)
class _IntactRecord:
    """Location, revision, status and digest of an intact record."""

    shard: str
    position: int
    revision: int
    status: str
    sha256: bytes


def verify(path: Path) -> StoreReport:
    """Check every record of the feature store or face cache at `path`.

    The face cache of a feature store is not checked with it.

    Raises:
        StoreError: There is no store, its description is damaged, or a shard cannot be opened.
    """
    description = StoreDescription.read(path)
    report = StoreReport(str(path), description.fingerprint.id)
    intact: defaultdict[str, list[_IntactRecord]] = defaultdict(list)
    shards = _open_shards(path, KINDS[description.kind], report)
    for shard in _with_common_shape(shards, report):
        _check_records(shard, report, intact)
    for video_id, records in sorted(intact.items()):
        _find_current(video_id, records, report)
    bad = {record.video_id for record in report.bad_records} - {""}
    report.extract_again = sorted(name for name in bad if not intact.get(name))
    report.leftovers = locks.dead_writers(path)
    return report


def _open_shards(path: Path, kind: Kind, report: StoreReport) -> list[Shard]:
    """Return the shards that can be opened; report the others."""
    shards: list[Shard] = []
    seen: set[str] = set()
    while names := list_shards(path) - seen:  # other processes may be writing
        seen |= names
        for name in sorted(names):
            try:
                shards.append(Shard(path / name, report.fingerprint_id, kind))
            except ShardAccessError:
                raise
            except FileNotFoundError:
                # Sealed into a larger shard, which is in the next listing, or replaced by an
                # equal one.
                seen.remove(name)
            except StoreError as error:
                report.unreadable_shards[name] = str(error)
    return shards


def _with_common_shape(shards: list[Shard], report: StoreReport) -> list[Shard]:
    """Return the shards whose records have the most common shape; report the others."""
    shapes = Counter(shard.shape for shard in shards)
    usual = shapes.most_common(1)[0][0] if shapes else None
    for shard in shards:
        if shard.shape != usual:
            report.strangers.append(shard.path.name)
            report.unreadable_shards[shard.path.name] = (
                f"{shard.path} contains records of shape {shard.shape}, other shards of {usual}"
            )
    return [shard for shard in shards if shard.shape == usual]


def _check_records(
    shard: Shard, report: StoreReport, intact: dict[str, list[_IntactRecord]]
) -> None:
    """Read every record of a shard; add it to `intact` or to the report's `bad_records`."""
    name = shard.path.name
    index: list[IndexRow] = []
    readable: dict[int, tuple[str, _IntactRecord]] = {}
    bad: list[BadRecord] = []
    try:
        try:
            index = shard.index()
        except StoreError as error:
            report.unreadable_shards[name] = str(error)  # its records may still be intact
        for position in range(len(shard)):
            try:
                record = shard.read(position)
                readable[position] = (
                    record.video_id,
                    _IntactRecord(name, position, record.revision, record.status, record.sha256),
                )
            except StoreError as error:
                video_id = index[position].video_id if index else ""
                bad.append(BadRecord(video_id, name, position, str(error)))
    except FileNotFoundError:
        report.unreadable_shards.pop(name, None)
        return  # sealed into a larger shard in the meantime
    report.bad_records += bad
    counts = Counter(video_id for video_id, _ in readable.values())
    for position, (video_id, checked) in readable.items():
        if counts[video_id] > 1:
            reason = f"{shard.path} contains {counts[video_id]} records of this video"
            report.bad_records.append(BadRecord(video_id, name, position, reason))
        else:
            intact[video_id].append(checked)
        row = IndexRow(video_id, checked.revision, checked.sha256.hex())
        if index and index[position] != row:
            report.unreadable_shards[name] = f"{shard.path}: the index does not match the records"


def _find_current(video_id: str, records: list[_IntactRecord], report: StoreReport) -> None:
    """Find the current record of a video; remove contradicting ones from `records`."""
    newest = max(record.revision for record in records)
    current = [record for record in records if record.revision == newest]
    if len({record.sha256 for record in current}) > 1:
        shards = " and ".join(sorted({record.shard for record in current}))
        for record in current:
            reason = f"{shards} contain different records of this video with the same revision"
            report.bad_records.append(BadRecord(video_id, record.shard, record.position, reason))
            records.remove(record)
        if records:
            _find_current(video_id, records, report)
        return
    report.videos += 1
    report.by_status[current[0].status] += 1
    if len(records) > 1:
        report.duplicates.append(video_id)
    if any(bad.video_id == video_id for bad in report.bad_records):
        report.older[video_id] = newest
