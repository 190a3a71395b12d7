"""Is all of a store whole? Reads every record; changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from deepfake_seq.errors import StoreError
from deepfake_seq.store import locks
from deepfake_seq.store.shards.description import StoreDescription
from deepfake_seq.store.shards.encode import IndexRow
from deepfake_seq.store.shards.guard import ShardAccessError
from deepfake_seq.store.shards.index import listing
from deepfake_seq.store.shards.kinds import KINDS, Kind
from deepfake_seq.store.shards.read import Shard


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
        older: The revision that stands in the place of a newer, bad one, by `video_id`.
        quarantined: The shards that `repair` set aside.
        strangers: Unreadable shards that hold records of another shape, of which none is saved.
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
    """Look at every record of the store at `path`, of whatever kind; not at its face cache.

    Raises:
        StoreError: There is no store, its description is damaged, or a shard may not be read.
    """
    description = StoreDescription.read(path)
    report = StoreReport(str(path), description.fingerprint.id)
    found: defaultdict[str, list[_Found]] = defaultdict(list)
    for shard in _of_one_shape(_shards(path, KINDS[description.kind], report), report):
        _inspect(shard, report, found)
    for video_id, records in sorted(found.items()):
        _judge(video_id, records, report)
    bad = {record.video_id for record in report.bad_records} - {""}
    report.extract_again = sorted(name for name in bad if not found.get(name))
    report.leftovers = locks.dead_writers(path)
    return report


def _shards(path: Path, kind: Kind, report: StoreReport) -> list[Shard]:
    """Every shard that is one."""
    shards: list[Shard] = []
    seen: set[str] = set()
    while names := listing(path) - seen:  # others may be writing
        seen |= names
        for name in sorted(names):
            try:
                shards.append(Shard(path / name, report.fingerprint_id, kind))
            except ShardAccessError:
                raise
            except FileNotFoundError:
                continue  # sealed into a larger one, which the next listing has
            except StoreError as error:
                report.unreadable_shards[name] = str(error)
    return shards


def _of_one_shape(shards: list[Shard], report: StoreReport) -> list[Shard]:
    """The shards whose records have the shape that most have; the others are strangers."""
    shapes = Counter(shard.shape for shard in shards)
    usual = shapes.most_common(1)[0][0] if shapes else None
    for shard in shards:
        if shard.shape != usual:
            report.strangers.append(shard.path.name)
            report.unreadable_shards[shard.path.name] = (
                f"{shard.path} holds records of {shard.shape}, others of {usual}"
            )
    return [shard for shard in shards if shard.shape == usual]


def _inspect(shard: Shard, report: StoreReport, found: dict[str, list[_Found]]) -> None:
    name = shard.path.name
    index: list[IndexRow] = []
    whole: dict[int, tuple[str, _Found]] = {}
    bad: list[BadRecord] = []
    try:
        try:
            index = shard.index()
        except StoreError as error:
            report.unreadable_shards[name] = str(error)  # its records may be whole for all that
        for position in range(len(shard)):
            try:
                record = shard.read(position)
                place = _Found(name, position, record.revision, record.status, record.sha256)
                whole[position] = (record.video_id, place)
            except StoreError as error:
                video_id = index[position].video_id if index else ""
                bad.append(BadRecord(video_id, name, position, str(error)))
    except FileNotFoundError:
        report.unreadable_shards.pop(name, None)
        return  # sealed into a larger one meanwhile
    report.bad_records += bad
    names = Counter(video_id for video_id, _ in whole.values())
    for position, (video_id, place) in whole.items():
        if names[video_id] > 1:
            reason = f"{shard.path} holds {names[video_id]} records of this video"
            report.bad_records.append(BadRecord(video_id, name, position, reason))
        else:
            found[video_id].append(place)
        row = IndexRow(video_id, place.revision, place.sha256.hex())
        if index and index[position] != row:
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
        if records:
            _judge(video_id, records, report)
        return
    report.videos += 1
    report.by_status[standing[0].status] += 1
    if len(records) > 1:
        report.duplicates.append(video_id)
    if any(bad.video_id == video_id for bad in report.bad_records):
        report.older[video_id] = newest
