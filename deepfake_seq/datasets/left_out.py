"""What a search for videos leaves out, and how to include it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deepfake_seq.config import ARCHIVE_SUFFIXES, IMAGE_SUFFIXES, UNSUPPORTED_VIDEO_SUFFIXES

NO_SUFFIX = "without suffix"
DOCUMENT_SUFFIXES = frozenset(
    {".csv", ".htm", ".html", ".json", ".md", ".pdf", ".tsv", ".txt", ".xls", ".xlsx", ".xml"}
)
"""Suffixes of lists and descriptions; such files are expected, so they are not counted."""

_MAX_SUFFIXES = 8


@dataclass
class LeftOut:
    """Files and folders that a search for videos left out.

    Attributes:
        suffixes: Number of files that are not videos, by suffix in lower case.
        image_folders: Folders that contain images.
        links: Links that lead out of the searched folders.
        broken_links: Links to nothing.
        unreadable: Folders that cannot be listed.
        bad_names: Files whose names are not valid UTF-8.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    image_folders: set[Path] = field(default_factory=set)
    links: list[Path] = field(default_factory=list)
    broken_links: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    bad_names: list[Path] = field(default_factory=list)

    def add_file(self, path: Path) -> None:
        """Count a file that is not a video."""
        suffix = path.suffix.lower() or NO_SUFFIX
        if suffix in DOCUMENT_SUFFIXES:
            return
        self.suffixes[suffix] += 1
        if suffix in IMAGE_SUFFIXES:
            self.image_folders.add(path.parent)

    def lines(self) -> Iterator[str]:
        """Yield one sentence for each kind of file or folder: how many, and what to do."""
        rest = Counter(self.suffixes)

        def take(suffixes: frozenset[str]) -> Counter[str]:
            return Counter({name: rest.pop(name) for name in suffixes & rest.keys()})

        if videos := take(UNSUPPORTED_VIDEO_SUFFIXES):
            yield f"{_files(videos)}: this video format is not supported; convert them to MP4"
        if images := take(IMAGE_SUFFIXES):
            folders = len(self.image_folders)
            where = f"in {folders:,} folder{'s' * (folders != 1)}"
            yield f"{_files(images)} {where}; frame folders are not read: give the videos"
        if archives := take(ARCHIVE_SUFFIXES):
            yield f"{_files(archives)}: archives are not read; unpack them"
        if rest:
            yield f"{_files(rest)}: not videos by their suffix; give videos among them one by one"
        for paths, what, remedy in (
            (self.links, "links that lead out of the given folders", "; --follow-links uses them"),
            (self.broken_links, "links that lead nowhere", ""),
            (self.unreadable, "folders that cannot be read", "; check their permissions"),
            (self.bad_names, "file names that are not valid UTF-8", "; rename the files"),
        ):
            if paths:
                more = ", …" if len(paths) > 1 else ""
                yield f"{what}: {len(paths):,} ({paths[0]}{more}){remedy}"


def _files(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {suffix}" for suffix, count in ordered[:_MAX_SUFFIXES]]
    rest = sum(count for _, count in ordered[_MAX_SUFFIXES:])
    return ", ".join([*shown, *([f"{rest:,} others"] if rest else [])])
