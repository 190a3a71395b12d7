"""`deepseq faces`: what is seen in a clip, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    EXISTING,
    PATH,
    face_options,
    face_settings,
    json_option,
    limits,
    memory_option,
    print_json,
    sampling_options,
    timeout_option,
)


@click.command()
@click.argument("clip", type=EXISTING)
@click.option("--out", type=PATH, default="faces.png", show_default=True, help="The PNG to write.")
@sampling_options
@face_options
@timeout_option
@memory_option
@json_option
def faces(clip: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Draw the sampled frames of a clip with the faces found, and the crops that the CNN sees.

    Look here first when a verdict surprises you. Green boxes: found in the sampled frame; yellow:
    in a frame beside it. Grey frames show no face.
    """
    from deepfake_seq.extract import contact_sheet
    from deepfake_seq.extract.resolve import resolve

    settings = config.ExtractConfig(
        config.SamplingConfig(options["sampling"], options["frames"]),
        face_settings(options),
        config.BackboneConfig(weights=config.UNTRAINED),  # the CNN is not used
    )
    execution = config.ExecutionConfig(limits=limits(options["timeout"], options["memory"]))
    looked = contact_sheet.inspect_video(clip, resolve(settings), execution)
    sampled = len(looked.cells[0])
    people = [
        {"faces_found": len(person) - person.filled, "faces_filled": person.filled}
        for person in looked.people
    ]
    counts = ", ".join(
        f"{person['faces_found']} of {sampled}"
        + (f" and {person['faces_filled']} beside" if person["faces_filled"] else "")
        for person in people
    )
    video = looked.video
    what = f"{video.status}{f' ({video.reason})' if video.reason else ''}"
    seen = f"face in {counts} sampled frames" if people else f"no face in {sampled} sampled frames"
    contact_sheet.draw(looked, f"{clip.name}: {what}, {seen}", settings, out)
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
        click.echo(f"{out}: {what}, {seen}")
