"""A contact sheet: what the detector found in a clip, and what the CNN is shown."""

from __future__ import annotations

import io
from collections.abc import Sequence
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
_MAX_PEOPLE = 6
_FOUND, _FILLED, _MISSED = "#228833", "#ccbb44", "#999999"


@dataclass(frozen=True, eq=False)
class Cell:
    """One sampled frame of the sheet.

    Attributes:
        image_rgb: uint8 (H, W, 3); the frame, or the one beside it that took its place.
        pts_seconds: When it is shown.
        face: The person's face in it, or None.
        filled: Whether it took the place of a sampled frame.
    """

    image_rgb: npt.NDArray[np.uint8]
    pts_seconds: float
    face: Face | None
    filled: bool


@dataclass(frozen=True, eq=False)
class InspectedVideo:
    """What was seen in a clip.

    Attributes:
        video: What decoding made of it.
        people: The people found, the most visible first.
        cells: For each of them (or for nobody) one cell for each sampled frame.
    """

    video: DecodedVideo
    people: list[Person]
    cells: list[list[Cell]]


def inspect_video(
    path: Path, resolved: ResolvedConfig, execution: ExecutionConfig
) -> InspectedVideo:
    """Decode a clip and find its people, exactly as `extract` does.

    Raises:
        VideoError: There is nothing to look at.
    """
    config = resolved.config
    detector = build_detector(
        config.faces.detector, resolved.detector_weights, config.backbone.precision
    )
    with Decoders(1, config.sampling, execution.limits) as decoders:
        video = decoders.decode(path)
        if video.frames is None:
            raise VideoError(video.status, f"{path}: {video.status}: {video.reason}")
        people = find_people(
            video.frames,
            detector,
            config.faces,
            int(video.facts["frames_total"]),
            lambda positions: decoders.frames_at(path, positions),
        )
    people = people[:_MAX_PEOPLE]
    shown = people or [Person.nobody()]
    return InspectedVideo(video, people, [_cells(video.frames, person) for person in shown])


def _cells(frames: SampledFrames, person: Person) -> list[Cell]:
    """One cell for each sampled frame, in order of time."""
    sampled = frames.frame_index
    rows = {int(np.abs(sampled - at).argmin()): row for row, at in enumerate(person.frame_index)}
    cells = []
    for slot, at in enumerate(sampled):
        row = rows.get(slot)
        if row is None:
            seconds = float(frames.pts_seconds[slot])
            cells.append(Cell(frames.images_rgb[slot], seconds, None, filled=False))
        else:
            filled = bool(person.frame_index[row] != at)
            seconds = float(person.pts_seconds[row])
            cells.append(Cell(person.images_rgb[row], seconds, person.faces[row], filled))
    return cells


def cells_of(path: Path, record: FeatureRecord, decoders: Decoders) -> list[Cell]:
    """The frames that a record was made from, read once more, with its boxes.

    Args:
        path: Where the video is now.
        record: Of that video.
        decoders: Decode it.

    Raises:
        VideoError: The video is not there, is no longer what it was, or cannot be decoded.
    """
    try:
        source = identify(path)
    except (OSError, ValueError) as error:  # a name from a store may be no name at all
        raise VideoError("decode_error", f"the video cannot be read: {reason_of(error)}") from error
    if source.sha256 != record.source.sha256:
        raise VideoError("rejected", "the video is not the one that the features were made from")
    rows = {int(record.frame_index[row]): row for row in np.flatnonzero(record.mask)}
    frames = decoders.frames_at(path, sorted(rows))
    if frames is None:
        raise VideoError("decode_error", "its frames cannot be decoded")
    boxes = record.boxes_xyxy[record.mask]
    if not (np.abs(boxes) < 2 * max(frames.images_rgb.shape[1:3])).all():  # whatever a store says
        raise VideoError("rejected", "its faces would lie outside of its frames")
    cells = []
    for position, at in enumerate(frames.frame_index):
        row = rows.get(int(at))
        if row is not None:
            face = Face(record.boxes_xyxy[row], float(record.scores[row]))
            seconds = float(frames.pts_seconds[position])
            cells.append(Cell(frames.images_rgb[position], seconds, face, filled=False))
    if not cells:
        raise VideoError("decode_error", "it has no such frames")
    return cells


def draw(looked: InspectedVideo, title: str, config: ExtractConfig, out: Path) -> None:
    """Write the sheet as a PNG: each frame with its box, score and time, and below it the crop.

    Args:
        looked: What was seen.
        title: The first line.
        config: The margin and the CNN's input size of the crops.
        out: The file to write.
    """
    atomic.write_bytes(out, picture(looked.cells, title, config))


def picture(
    people: Sequence[Sequence[Cell]], title: str, config: ExtractConfig, kind: str = "png"
) -> bytes:
    """The sheet of several people, as a `png` or, five times smaller, as a `jpeg`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, max(len(cells) for cells in people))
    lines: list[Sequence[Cell]] = [
        cells[start : start + columns]
        for cells in people
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
    for line, cells in enumerate(lines):
        for column, cell in enumerate(cells):
            _draw_frame(axes[2 * line, column], cell)
            if cell.face is not None:
                cut = cut_square(cell.image_rgb, cell.face.box_xyxy, config.faces.margin)
                axes[2 * line + 1, column].imshow(resize_square(cut, size))
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=110)
    return buffer.getvalue()


def _draw_frame(axis: Any, cell: Cell) -> None:
    from matplotlib.patches import Rectangle

    axis.imshow(cell.image_rgb, alpha=1.0 if cell.face else 0.4)
    label = f"{cell.pts_seconds:.2f} s"
    colour = _MISSED
    if cell.face is None:
        label += "  no face"
    else:
        colour = _FILLED if cell.filled else _FOUND
        label += f"  {cell.face.score:.2f}" + ("  beside" if cell.filled else "")
        left, top, right, bottom = (float(value) for value in cell.face.box_xyxy)
        axis.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, linewidth=1.8, color=colour
            )
        )
    axis.set_title(label, fontsize=7, color=colour if cell.face is None else "black", pad=2)
