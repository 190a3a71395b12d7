"""Is all of a store whole? Reads every record; changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from deepfake_seq.errors import StoreError
from deepfake_seq.store import locks
from deepfake_seq.store.description import StoreDescription
from deepfake_seq.store.encoding import IndexRow
from deepfake_seq.store.index import listing
from deepfake_seq.store.shard import Shard


@dataclass(frozen=True)
class BadRecord:
    """A record that cannot be trusted.

    Attributes:
        video_id: Its video; "" where even that is lost.
        shard: The shard's name.
        position: Its row there.
        reason: What is wrong.
    """

    video_id: str
    shard: str
    position: int
    reason: str


@dataclass
class StoreReport:
    """What is in a store.

    Attributes:
        store: The directory.
        fingerprint_id: The id of its fingerprint.
        videos: How many videos have a whole record.
        by_status: How many of them have each status.
        bad_records: Records that are damaged, or contradict each other.
        unreadable_shards: What is wrong with shards that cannot be read or indexed, by name.
        duplicates: Ids of videos of which there are further whole records: older revisions, and
            copies left by an interrupted run. They do no harm.
        leftovers: What dead writers left. Does no harm; the next run removes it.
        extract_again: Ids of videos without a whole record, as far as they are known.
        quarantined: The shards that `repair` set aside.
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
    quarantined: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every shard and record can be trusted."""
        return not self.bad_shards

    @property
    def bad_shards(self) -> list[str]:
        """The shards in which something is wrong."""
        return sorted({bad.shard for bad in self.bad_records} | self.unreadable_shards.keys())


@dataclass(frozen=True)
class _Found:
    """A whole record: where it is and what decides which one stands."""

    shard: str
    position: int
    revision: int
    status: str
    sha256: bytes


def verify(path: Path) -> StoreReport:
    """Look at every record of the store at `path`.

    Raises:
        StoreError: There is no store, or its description is damaged.
    """
    fingerprint_id = StoreDescription.read(path).fingerprint.id
    report = StoreReport(str(path), fingerprint_id)
    found: defaultdict[str, list[_Found]] = defaultdict(list)
    seen: set[str] = set()
    while names := listing(path) - seen:  # others may be writing
        seen |= names
        for name in sorted(names):
            try:
                _inspect(Shard(path / name, fingerprint_id), report, found)
            except FileNotFoundError:
                continue  # sealed into a larger one, which the next listing has
            except StoreError as error:
                report.unreadable_shards[name] = str(error)
    for video_id, records in sorted(found.items()):
        _judge(video_id, records, report)
    standing = {video_id for video_id, records in found.items() if records}
    lost = {bad.video_id for bad in report.bad_records} - standing - {""}
    report.extract_again = sorted(lost)
    report.leftovers = [folder.name for folder in locks.dead_writers(path)]
    return report


def _inspect(shard: Shard, report: StoreReport, found: dict[str, list[_Found]]) -> None:
    name = shard.path.name
    index: list[IndexRow] = []
    try:
        index = shard.index()
    except StoreError as error:
        report.unreadable_shards[name] = str(error)  # its records may be whole for all that
    listed: list[IndexRow] = []
    for position in range(len(shard)):
        try:
            record = shard.read(position)
        except StoreError as error:
            row = index[position] if position < len(index) else IndexRow("", 0, "")
            report.bad_records.append(BadRecord(row.video_id, name, position, str(error)))
            listed.append(row)
            continue
        listed.append(IndexRow(record.video_id, record.revision, record.sha256.hex()))
        place = _Found(name, position, record.revision, record.status, record.sha256)
        found[record.video_id].append(place)
    if index and listed != index:
        report.unreadable_shards[name] = f"{shard.path}: its index does not list its records"


def _judge(video_id: str, records: list[_Found], report: StoreReport) -> None:
    """Which of a video's records stands; removes from `records` those that contradict it."""
    newest = max(record.revision for record in records)
    standing = [record for record in records if record.revision == newest]
    if len({record.sha256 for record in standing}) > 1:
        shards = " and ".join(sorted({record.shard for record in standing}))
        for record in standing:
            reason = f"{shards} hold different records of this video, and none is the newer"
            report.bad_records.append(BadRecord(video_id, record.shard, record.position, reason))
            records.remove(record)
        return
    report.videos += 1
    report.by_status[standing[0].status] += 1
    if len(records) > 1:
        report.duplicates.append(video_id)
