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


@dataclass
class _CheckedShard:
    """What was found in one shard.

    Attributes:
        path: Path of the shard.
        shape: Shape of its records; None if it cannot be opened.
        intact: Its intact records, by the id of the video; each video has one.
        bad: Its damaged records.
        error: Why it cannot be read or indexed; empty if it can.
    """

    path: Path
    shape: tuple[int, ...] | None = None
    intact: dict[str, _IntactRecord] = field(default_factory=dict)
    bad: list[BadRecord] = field(default_factory=list)
    error: str = ""

    @property
    def name(self) -> str:
        """File name of the shard."""
        return self.path.name


def verify(path: Path) -> StoreReport:
    """Check every record of the feature store or face cache at `path`.

    The face cache of a feature store is not checked with it. Other processes may write the store
    meanwhile: the report is on the shards that are there at the end.

    Raises:
        StoreError: There is no store, its description is damaged, or a shard cannot be opened.
    """
    description = StoreDescription.read(path)
    report = StoreReport(str(path), description.fingerprint.id)
    shards = _check_shards(path, KINDS[description.kind], report.fingerprint_id)
    strangers = {shard.name: shard for shard in _strangers(shards)}
    report.strangers = sorted(strangers)
    intact: defaultdict[str, list[_IntactRecord]] = defaultdict(list)
    for shard in (strangers.get(shard.name, shard) for shard in shards):
        report.bad_records += shard.bad
        if shard.error:
            report.unreadable_shards[shard.name] = shard.error
        for video_id, record in shard.intact.items():
            intact[video_id].append(record)
    for video_id, records in sorted(intact.items()):
        _find_current(video_id, records, report)
    bad = {record.video_id for record in report.bad_records} - {""}
    report.extract_again = sorted(name for name in bad if not intact.get(name))
    report.leftovers = locks.dead_writers(path)
    return report


def _check_shards(path: Path, kind: Kind, fingerprint_id: str) -> list[_CheckedShard]:
    """Check the shards of a store until no other process has added one meanwhile."""
    checked: dict[str, _CheckedShard] = {}
    while new := (names := list_shards(path)) - checked.keys():
        for name in sorted(new):
            try:
                checked[name] = _check_shard(path / name, kind, fingerprint_id)
            except FileNotFoundError:
                # Sealed into a larger shard, which is in the next listing, or replaced by an
                # equal one.
                continue
    return [checked[name] for name in sorted(names)]


def _check_shard(path: Path, kind: Kind, fingerprint_id: str) -> _CheckedShard:
    """Read every record of a shard.

    Raises:
        FileNotFoundError: The shard was removed or replaced meanwhile.
        ShardAccessError: It cannot be opened, although it may be intact.
    """
    checked = _CheckedShard(path)
    try:
        shard = Shard(path, fingerprint_id, kind)
    except (ShardAccessError, FileNotFoundError):
        raise
    except StoreError as error:
        checked.error = str(error)
        return checked
    checked.shape = shard.shape
    index: list[IndexRow] = []
    try:
        index = shard.index()
    except StoreError as error:
        checked.error = str(error)  # its records may still be intact
    readable: defaultdict[str, list[_IntactRecord]] = defaultdict(list)
    for position in range(len(shard)):
        try:
            record = shard.read(position)
        except StoreError as error:
            video_id = index[position].video_id if index else ""
            checked.bad.append(BadRecord(video_id, path.name, position, str(error)))
            continue
        readable[record.video_id].append(
            _IntactRecord(path.name, position, record.revision, record.status, record.sha256)
        )
        if index and index[position] != IndexRow(
            record.video_id, record.revision, record.sha256.hex()
        ):
            checked.error = f"{path}: the index does not match the records"
    for video_id, records in readable.items():
        if len(records) == 1:
            checked.intact[video_id] = records[0]
            continue
        reason = f"{path} contains {len(records)} records of this video"
        checked.bad += [
            BadRecord(video_id, path.name, record.position, reason) for record in records
        ]
    return checked


def _strangers(shards: list[_CheckedShard]) -> list[_CheckedShard]:
    """Return the shards whose records do not have the most common shape, with that as the error."""
    readable = [shard for shard in shards if shard.shape is not None]
    shapes = Counter(shard.shape for shard in readable)
    usual = shapes.most_common(1)[0][0] if shapes else None
    return [
        _CheckedShard(
            shard.path,
            error=f"{shard.path} contains records of shape {shard.shape}, other shards of {usual}",
        )
        for shard in readable
        if shard.shape != usual
    ]


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
