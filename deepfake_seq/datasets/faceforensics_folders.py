"""What the folders and file names of FaceForensics++ tell about a video."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL
from deepfake_seq.datasets.words import is_topic, read_words

MASKS = "masks"
ORIGINAL = "original"
"""Folder of the real videos where each method is one folder, as on Kaggle."""

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
FROM_ACTORS = "DeepFakeDetection"
ACTORS = "actors"
"""Real videos from which those of `FROM_ACTORS` are made."""

_VIDEOS = "videos"
_KINDS = {"original_sequences": REAL, "manipulated_sequences": FAKE}
_COMPRESSIONS = frozenset({"c0", "raw", "c23", "c40", MASKS})
_SPELLINGS = {name.lower(): name for name in ("youtube", ACTORS, *METHODS, FROM_ACTORS)}
_FLAT_SPELLINGS = {name.lower(): name for name in (ORIGINAL, *METHODS, FROM_ACTORS)}
_FLAT_SPELLINGS |= dict.fromkeys(("originals", "real", "youtube"), ORIGINAL)
_FLAT_SPELLINGS |= {"dfd_original_sequences": ACTORS, "dfd_manipulated_sequences": FROM_ACTORS}
_SOURCES = re.compile(r"([0-9]{3})(?:_([0-9]{3}))?")
_ACTORS = re.compile(r"([0-9]{2})(?:_([0-9]{2}))?__.+")


class Place(NamedTuple):
    """Description of the videos in a folder, read from its name and the folders above it.

    Attributes:
        home: Folder of the data set.
        label: 1 = fake, 0 = real.
        name: `youtube`, `actors` or `original`, or the method.
        compression: `c0`, `raw`, `c23`, `c40` or `masks`; "" if unknown.
        is_flat: Whether each method is one folder in `home`, as on Kaggle.
    """

    home: Path
    label: int
    name: str
    compression: str
    is_flat: bool


def groups_of(stem: str) -> tuple[str, ...]:
    """Return the source videos (`000`) or actors (`actor01`) in a file name, without repeats."""
    sources, actors = _SOURCES.fullmatch(stem), _ACTORS.fullmatch(stem)
    if sources:
        return tuple(dict.fromkeys(filter(None, sources.groups())))
    if actors:
        return tuple(dict.fromkeys(f"actor{number}" for number in actors.groups() if number))
    return ()


def place_of(folder: Path) -> Place | None:
    """Describe the videos in a folder; None if the folder is not of FaceForensics++."""
    return _published_place(folder) or _flat_place(folder)


def _published_place(folder: Path) -> Place | None:
    """Read KIND/NAME/COMPRESSION/videos; the last two may be missing for a known NAME."""
    parts = folder.parts
    for level in (-4, -3, -2):
        if len(parts) + level > 0 and parts[level].lower() in _KINDS:
            break
    else:
        return None
    kind, name, *rest = (part.lower() for part in parts[level:])
    is_complete = len(rest) == 2 and rest[0] in _COMPRESSIONS and rest[1] == _VIDEOS
    is_short = not rest or (len(rest) == 1 and rest[0] in (*_COMPRESSIONS, _VIDEOS))
    if not is_complete and not (is_short and name in _SPELLINGS):
        return None
    compression = rest[0] if rest and rest[0] != _VIDEOS else ""
    spelled = _SPELLINGS.get(name, parts[level + 1])
    return Place(folder.parents[-level - 1], _KINDS[kind], spelled, compression, is_flat=False)


def _flat_place(folder: Path) -> Place | None:
    """Read NAME or NAME/videos, also below a folder of a class; the videos' names confirm it."""
    named = folder.parent if folder.name.lower() == _VIDEOS else folder
    name = _FLAT_SPELLINGS.get(named.name.lower())
    if name is None or not _has_videos(folder, name):
        return None
    home = named.parent.parent if _is_class(named.parent) else named.parent
    if name == ORIGINAL and not _has_methods(home):
        return None  # 000.mp4 in a folder called original proves nothing
    match = re.search(r"(?<![a-z0-9])(c0|raw|c23|c40)(?![a-z0-9])", home.name.lower())
    label = REAL if name in (ORIGINAL, ACTORS) else FAKE
    return Place(home, label, name, match[1] if match else "", is_flat=True)


def _is_class(folder: Path) -> bool:
    """Return whether a folder is named like a class, such as `fake`."""
    return read_words(folder.name).is_certain and not is_topic(folder.name)


def _has_methods(home: Path) -> bool:
    """Return whether methods with videos are in a folder, or in folders of classes in it."""
    for folder in _folders_in(home):
        for candidate in (folder, *(_folders_in(folder) if _is_class(folder) else ())):
            name = _FLAT_SPELLINGS.get(candidate.name.lower())
            if name in (*METHODS, FROM_ACTORS) and (
                _has_videos(candidate, name) or _has_videos(candidate / _VIDEOS, name)
            ):
                return True
    return False


def _has_videos(folder: Path, name: str) -> bool:
    """Return whether a folder contains a file named like the videos of `name`."""
    sources = 1 if name in (ORIGINAL, ACTORS) else 2
    try:
        return any(len(groups_of(path.stem)) == sources for path in folder.iterdir())
    except OSError:
        return False


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []
