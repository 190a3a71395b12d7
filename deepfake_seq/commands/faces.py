"""`deepseq faces`: a contact sheet of the faces found in a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    EXISTING,
    PICTURE,
    command,
    detection_options,
    execution_settings,
    from_options,
    json_option,
    limits_options,
    option,
    option_of,
    sampling_options,
)
from deepfake_seq.commands.output import print_json, writing


@command()
@click.argument("clip", type=EXISTING)
@option(
    "--out",
    type=PICTURE,
    default="faces.png",
    show_default=True,
    help="PNG or JPEG file to write; the suffix selects the format.",
)
@sampling_options
@detection_options
@option_of(
    config.FaceConfig,
    "people",
    "Face",
    default="all",
    help="People to draw: everyone whom `predict` classifies, or only the main person.",
)
@limits_options
@json_option
def faces(clip: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Draw the faces found in a clip and the crops the CNN sees.

    Check this sheet first if a verdict is unexpected. Green boxes: found in the sampled frame;
    yellow boxes: found in a neighbouring frame. Grey frames show no face. A person in a short shot
    is drawn in other frames, sampled again within the time that shows the person.
    """
    from deepfake_seq.extract import contact_sheet
    from deepfake_seq.extract.resolve import resolve

    settings = config.ExtractConfig(
        from_options(config.SamplingConfig, options),
        from_options(config.FaceConfig, options),
        config.BackboneConfig(weights=config.UNTRAINED),  # the CNN is not used
    )
    inspected = contact_sheet.inspect_video(clip, resolve(settings), execution_settings(options))
    assert inspected.video.frames is not None
    sampled = len(inspected.video.frames)
    people = [
        {"faces_found": len(person) - person.filled, "faces_filled": person.filled}
        for person in inspected.people
    ]
    counts = ", ".join(
        f"{person['faces_found']} of {sampled}"
        + (f" and {person['faces_filled']} neighbouring" if person["faces_filled"] else "")
        for person in people
    )
    video = inspected.video
    status = f"{video.status}{f' ({video.reason})' if video.reason else ''}"
    faces_found = f"face in {counts}" if people else f"no face in {sampled}"
    number = f"{len(people)} people, " if len(people) > 1 else ""
    summary = f"{status}, {number}{faces_found} sampled frames"
    with writing(out, "--out"):
        contact_sheet.draw(inspected, f"{clip.name}: {summary}", settings, out)
    if as_json:
        print_json(
            {
                "path": str(clip),
                "sheet": str(out),
                "status": video.status,
                "reason": video.reason,
                "frames_sampled": sampled,
                "people": people,
            }
        )
    else:
        click.echo(f"{out}: {summary}")
