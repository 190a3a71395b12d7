"""Contact sheets: the sampled frames of a clip with the detected faces, and their crops."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.config import ExecutionConfig, ExtractConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.extract.faces import Face, build_detector, cut_square, resize_square
from deepfake_seq.extract.faces.people import Person, find_people
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video.decode import DecodedVideo, SampledFrames, identify
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.extract.video.failures import reason_of
from deepfake_seq.store import FeatureRecord

_COLUMNS = 8
_FOUND, _FILLED, _MISSED = "#228833", "#ccbb44", "#999999"


@dataclass(frozen=True, eq=False)
class SheetCell:
    """One sampled frame of the sheet.

    Attributes:
        image_rgb: uint8 (H, W, 3); the sampled frame or the neighbour that replaced it.
        pts_seconds: Presentation time.
        face: The person's face in the frame; None if there is none.
        filled: Whether a neighbour replaced the sampled frame.
    """

    image_rgb: npt.NDArray[np.uint8]
    pts_seconds: float
    face: Face | None
    filled: bool


@dataclass(frozen=True, eq=False)
class InspectedVideo:
    """The frames of a clip, and the people in them.

    Attributes:
        video: The decoded clip.
        people: The people found, most prominent first.
        cells: For each person, or once if there is none, one cell per sampled frame.
    """

    video: DecodedVideo
    people: list[Person]
    cells: list[list[SheetCell]]


def inspect_video(
    path: Path, resolved: ResolvedConfig, execution: ExecutionConfig
) -> InspectedVideo:
    """Decode a clip and find its people, exactly as `extract` does.

    Raises:
        VideoError: No frame can be decoded.
    """
    config = resolved.config
    detector = build_detector(
        config.faces.detector,
        resolved.detector_weights,
        config.faces.precision or "float32",
        resolved.detector_ranges,
    )
    with Decoders(1, config.sampling, execution.limits) as decoders:
        video = decoders.decode(path)
        if video.frames is None:
            raise VideoError(video.status, f"{path}: {video.status}: {video.reason}")
        people = find_people(
            video.frames,
            detector,
            config.faces,
            video.timeline_seconds,
            lambda positions: decoders.frames_at(path, positions),
        )
        frames = video.frames
        images = dict(zip(frames.frame_index.tolist(), frames.images_rgb, strict=True))
        shown = {int(at) for person in people for at in person.frame_index}
        more = decoders.frames_at(path, sorted(shown - images.keys()))
        if more is not None:
            images |= zip(more.frame_index.tolist(), more.images_rgb, strict=True)
    rows = people or [Person.empty()]
    return InspectedVideo(video, people, [_cells(frames, person, images) for person in rows])


def _cells(
    frames: SampledFrames, person: Person, images: Mapping[int, npt.NDArray[np.uint8]]
) -> list[SheetCell]:
    """Return one cell per sampled frame, in chronological order.

    Args:
        frames: The sampled frames.
        person: The person to show.
        images: The image of each sampled frame, and of each frame of the person, by frame number.
    """
    sampled = person.frame_index if person.resampled else frames.frame_index
    seconds = person.pts_seconds if person.resampled else frames.pts_seconds
    rows = {int(np.abs(sampled - at).argmin()): row for row, at in enumerate(person.frame_index)}
    cells = []
    for slot, at in enumerate(sampled.tolist()):
        row = rows.get(slot)
        if row is None:
            cells.append(SheetCell(images[at], float(seconds[slot]), None, filled=False))
        else:
            index = int(person.frame_index[row])
            pts = float(person.pts_seconds[row])
            cells.append(SheetCell(images[index], pts, person.faces[row], filled=index != at))
    return cells


def cells_of(path: Path, record: FeatureRecord, decoders: Decoders) -> list[SheetCell]:
    """Decode the frames of a record again, and return them with its boxes.

    Args:
        path: Current path of the video.
        record: A record of the video.
        decoders: Decoding processes.

    Raises:
        VideoError: The video is missing, has changed, or cannot be decoded.
    """
    try:
        source = identify(path)
    except (OSError, ValueError) as error:  # an id from a store may not be a valid path
        raise VideoError("decode_error", f"the video cannot be read: {reason_of(error)}") from error
    if source.sha256 != record.source.sha256:
        raise VideoError("rejected", "the features were made from another version of the video")
    rows = {int(record.frame_index[row]): row for row in np.flatnonzero(record.mask)}
    frames = decoders.frames_at(path, sorted(rows))
    if frames is None:
        raise VideoError("decode_error", "its frames cannot be decoded")
    boxes = record.boxes_xyxy[record.mask]
    longest = max(max(image.shape) for image in frames.images_rgb)
    if not (np.abs(boxes) < 2 * longest).all():  # a store is untrusted
        raise VideoError("rejected", "its faces are outside its frames")
    cells = []
    for position, at in enumerate(frames.frame_index):
        row = rows.get(int(at))
        if row is not None:
            face = Face(record.boxes_xyxy[row], float(record.scores[row]))
            seconds = float(frames.pts_seconds[position])
            cells.append(SheetCell(frames.images_rgb[position], seconds, face, filled=False))
    if not cells:
        raise VideoError("decode_error", "the video lacks the frames of the record")
    return cells


def draw(inspected: InspectedVideo, title: str, config: ExtractConfig, out: Path) -> None:
    """Write the sheet as a picture: each frame with box, score and time, and its crop below.

    Args:
        inspected: The frames and people.
        title: Title of the sheet.
        config: The settings; they give the margin and the size of the crops.
        out: Path of the file; its suffix is .png, .jpg or .jpeg.
    """
    atomic.write_bytes(out, picture(inspected.cells, title, config, out.suffix[1:].lower()))


def picture(
    people: Sequence[Sequence[SheetCell]], title: str, config: ExtractConfig, kind: str = "png"
) -> bytes:
    """Return the sheet of several people as a `png` or as a `jpeg`, which is five times smaller."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, max(len(cells) for cells in people))
    lines: list[tuple[str, Sequence[SheetCell]]] = [
        (f"person {number}: " if len(people) > 1 else "", cells[start : start + columns])
        for number, cells in enumerate(people, start=1)
        for start in range(0, len(cells), columns)
    ]
    height, width = people[0][0].image_rgb.shape[:2]
    tall = min(max(height / width, 0.4), 1.8)
    top = 0.6 if title else 0.1
    figure = Figure(
        figsize=(1.7 * columns, (1.7 * tall + 1.75) * len(lines) + top), layout="constrained"
    )
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    axes = figure.subplots(
        2 * len(lines), columns, squeeze=False, height_ratios=[tall, 1.0] * len(lines)
    )
    for axis in axes.flat:
        axis.set_axis_off()
    size = BACKBONE_TABLE[config.backbone.name].crop_size
    for line, (name, cells) in enumerate(lines):
        for column, cell in enumerate(cells):
            _draw_frame(axes[2 * line, column], cell, "" if column else name)
            if cell.face is not None:
                cut = cut_square(cell.image_rgb, cell.face.box_xyxy, config.faces.margin)
                axes[2 * line + 1, column].imshow(resize_square(cut, size))
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=110)
    return buffer.getvalue()


def _draw_frame(axis: Any, cell: SheetCell, name: str) -> None:
    from matplotlib.patches import Rectangle

    axis.imshow(cell.image_rgb, alpha=1.0 if cell.face else 0.4)
    label = f"{name}{cell.pts_seconds:.2f} s"
    colour = _MISSED
    if cell.face is None:
        label += "  no face"
    else:
        colour = _FILLED if cell.filled else _FOUND
        label += f"  {cell.face.score:.2f}" + ("  neighbour" if cell.filled else "")
        left, top, right, bottom = (float(value) for value in cell.face.box_xyxy)
        axis.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, linewidth=1.8, color=colour
            )
        )
    axis.set_title(label, fontsize=7, color=colour if cell.face is None else "black", pad=2)
