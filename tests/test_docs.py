from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from deepfake_seq.cli import app
from deepfake_seq.store.records.face_record import FACE_ARRAYS
from deepfake_seq.store.records.record import ARRAYS, STATUSES

ROOT = Path(__file__).parents[1]


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


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_between_pages_have_targets(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_readme_calls_only_existing_commands() -> None:
    called = set(re.findall(r"^\$ deepseq (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert called and called <= set(app.commands)
