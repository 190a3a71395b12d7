"""The house stays as designed: imports run one way, and nothing heavy is imported early."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from children import run_python

PACKAGE = Path(__file__).parents[1] / "deepfake_seq"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOUNDATIONS = {"errors", "config", "atomic", "published", "weights", "backend", "untrusted"}
FRAMEWORKS = {"tensorflow", "keras", "openvino", "torch", "jax", "onnxruntime"}
MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "atomic": set(),
    "published": set(),
    "weights": {"errors", "atomic", "published"},
    "backend": {"errors"},
    "untrusted": {"errors"},
    "datasets": {"errors", "config"},
    "store": {"errors", "config", "atomic"},
    "augment": {"errors", "config"},
    "extract": FOUNDATIONS | {"datasets", "store", "augment"},
    "sequence": FOUNDATIONS | {"datasets", "store"},
    "finetune": FOUNDATIONS | {"datasets", "store", "augment", "extract", "sequence"},
    "predict": FOUNDATIONS | {"datasets", "store", "extract", "sequence"},
    "evaluate": FOUNDATIONS | {"datasets", "store", "extract", "sequence"},
    "console": set(),
    "doctor": FOUNDATIONS,
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    own = room(path)
    if own in {"cli", "commands", "demo", "__init__", "__main__"}:
        return  # the roof: it may use everything
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("deepfake_seq.")}
    assert rooms - {own, "__version__"} <= MAY_IMPORT[own]


@pytest.mark.parametrize("part", ["store", "datasets"])
def test_the_cache_and_the_data_sets_need_no_framework(part: str) -> None:
    used = {name.split(".")[0] for path in (PACKAGE / part).glob("*.py") for name in imports(path)}
    assert not used & FRAMEWORKS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_under_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 300


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*(name.split('.')[0] for name in sys.modules))"
    return set(run_python(code).split())


def test_a_decoding_worker_loads_no_framework() -> None:
    assert not loaded_by("import deepfake_seq.extract.decoders") & (FRAMEWORKS | {"sklearn", "cv2"})


def test_the_help_needs_little_more_than_click() -> None:
    loaded = loaded_by("import deepfake_seq.cli")
    heavy = FRAMEWORKS | {"numpy", "cv2", "av", "h5py", "sklearn", "matplotlib", "rich"}
    assert not loaded & heavy
