"""What the pages name exists: commands, files, arrays, statuses."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from deepfake_seq.cli import app
from deepfake_seq.store.records.face_record import FACE_ARRAYS
from deepfake_seq.store.records.record import ARRAYS, STATUSES

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "features/README.md"]
PAGES += [f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))]

each_page = pytest.mark.parametrize("page", PAGES)


def test_the_command_reference_is_up_to_date() -> None:
    source = ROOT / "docs" / "make_cli_reference.py"
    spec = importlib.util.spec_from_file_location("make_cli_reference", source)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.reference(), "run python docs/make_cli_reference.py"


@pytest.mark.parametrize("name", sorted({*ARRAYS, *FACE_ARRAYS, *STATUSES}))
def test_the_format_page_names_every_array_and_status(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "store-format.md").read_text()


@each_page
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


@each_page
def test_modules_and_folders_that_a_page_names_exist(page: str) -> None:
    named = re.findall(
        r"`((?:deepfake_seq|tests|benchmarks|docs)/[\w./-]*)`", (ROOT / page).read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = set(re.findall(r"^[\w-]+$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE))
    assert contents == {path.stem for path in ROOT.glob("docs/*.md")} - {"index"}


def test_the_readme_calls_only_existing_commands() -> None:
    called = set(re.findall(r"^\$ deepseq (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert called and called <= set(app.commands)
