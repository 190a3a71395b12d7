"""`deepseq info`: what a store or a run contains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import console
from deepfake_seq.commands.options import EXISTING, command, json_option, option
from deepfake_seq.commands.output import echo_line, labels_line, print_json

if TYPE_CHECKING:
    from deepfake_seq.store import FaceStore, FeatureStore


@command()
@click.argument("path", type=EXISTING)
@option("--videos", is_flag=True, help="List the videos of a store: id, label and status.")
@json_option
def info(path: Path, videos: bool, as_json: bool) -> None:
    """Describe a feature store, a face store or a run."""
    from deepfake_seq.sequence.runs import run

    if (path / run.DESCRIPTION).is_file():
        _run_info(path, as_json)
    else:
        _store_info(path, as_json, list_videos=videos)


def _store_info(path: Path, as_json: bool, *, list_videos: bool) -> None:
    from deepfake_seq.store import FAILED_STATUSES, open_store
    from deepfake_seq.store.record_ids import VIEW_FACT

    store = open_store(path)
    all_records = [entry.metadata for entry in store.entries()]
    records = [record for record in all_records if VIEW_FACT not in record["facts"]]
    if list_videos:
        _list_videos(records, as_json)
        return
    about = _about(store, records, len(all_records) - len(records))
    if as_json:
        print_json(about)
        return
    kind = " of faces" if "images" in about else ""
    echo_line(f"store        {path}, {_megabytes(about)}{kind}")
    echo_line(f"videos       {labels_line(records)}")
    if about["views"]:
        echo_line(f"views        {about['views']} for training only")
    echo_line(f"status       {console.counts(about['by_status'])}")
    echo_line(f"groups       {about['groups'] or 'none given: splits may leak identities'}")
    if images := about.get("images"):
        echo_line(
            f"images       {images['format']}, {images['bytes_per_video'] / 1024:.0f} KiB a video"
        )
    if faces := about.get("faces"):
        echo_line(
            f"faces        {faces['store']}, {_megabytes(faces)}, of {faces['videos']} videos"
        )
    echo_line(f"fingerprint  {store.fingerprint.id}")
    for section, values in store.fingerprint.fields.items():
        echo_line(f"  {section:10} {', '.join(f'{key} {value}' for key, value in values.items())}")
    for record in records:
        if record["status"] in FAILED_STATUSES:
            echo_line(f"failed       {record['video_id']}: {record['status']}: {record['reason']}")


def _list_videos(records: list[dict[str, Any]], as_json: bool) -> None:
    """Print the first record of each video."""
    from deepfake_seq.datasets import LABEL_NAMES
    from deepfake_seq.store.record_ids import video_of

    first = {video_of(record["video_id"]): record for record in reversed(records)}
    rows = [
        {"video_id": name, "label": first[name]["label"], "status": first[name]["status"]}
        for name in sorted(first)
    ]
    if as_json:
        print_json(rows)
        return
    width = max((len(console.plain(row["video_id"])) for row in rows), default=0)
    for row in rows:
        echo_line(f"{row['video_id']:{width}}  {LABEL_NAMES[row['label']]:7}  {row['status']}")


def _about(
    store: FeatureStore | FaceStore, records: list[dict[str, Any]], views: int
) -> dict[str, Any]:
    """Return the JSON document of a store."""
    from deepfake_seq.store import FAILED_STATUSES, FaceStore, faces_of, has_faces
    from deepfake_seq.store.shards.index import shard_bytes

    about: dict[str, Any] = {
        "store": str(store.path),
        "fingerprint_id": store.fingerprint.id,
        "fingerprint": store.fingerprint.fields,
        "videos": len(records),
        "views": views,
        "by_status": dict(Counter(record["status"] for record in records)),
        "by_label": dict(Counter(str(record["label"]) for record in records)),
        "groups": len({group for record in records for group in record["groups"]}),
        "bytes": shard_bytes(store.path),
    }
    if isinstance(store, FaceStore):
        with_faces = sum(record["status"] not in FAILED_STATUSES for record in records)
        image_format = store.extract_config.get("faces", {}).get("image_format", "unknown")
        about["images"] = {
            "format": image_format,
            "bytes_per_video": about["bytes"] // max(with_faces, 1),
        }
    elif has_faces(store.path):
        faces = FaceStore.open(faces_of(store.path))
        about["faces"] = {
            "store": str(faces.path),
            "videos": len(faces),
            "bytes": shard_bytes(faces.path),
        }
    return about


def _megabytes(about: dict[str, Any]) -> str:
    return f"{about['bytes'] / 1e6:.1f} MB"


def _run_info(path: Path, as_json: bool) -> None:
    from deepfake_seq.sequence.reports.tables import metrics_rows
    from deepfake_seq.sequence.runs import run
    from deepfake_seq.untrusted import decode

    description, metrics = run.describe(path), run.read_metrics(path)
    if as_json:
        values = decode(path / run.DESCRIPTION, dict[str, Any], run.MAX_DESCRIPTION_BYTES)
        print_json({"run": str(path), **values, "metrics": metrics})
        return
    echo_line(f"run          {path}, {description.created}")
    echo_line(f"model        {description.title}, {description.parameters.total:,} parameters")
    echo_line(f"clips        {', '.join(f'{n} {name}' for name, n in description.split.items())}")
    echo_line(f"fingerprint  {description.fingerprint_id}")
    decision = description.decision
    echo_line(f"threshold    {decision.threshold:.3f} (rule: {decision.rule})")
    if decision.smallest_face:
        echo_line(f"faces        validated on faces at least {decision.smallest_face} pixels wide")
    click.echo(console.table(metrics_rows(description.title, metrics)))
    for warning in description.warnings:
        echo_line(f"note         {warning}")
