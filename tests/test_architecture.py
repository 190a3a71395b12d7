"""Imports run one way, and nothing heavy is imported early."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

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


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_run_one_way() -> None:
    wrong = []
    for path in MODULES:
        package = package_of(path)
        if package in {"cli", "commands", "demo", "__init__", "__main__"}:
            continue  # the top may use everything
        used = {name.split(".")[1] for name in imports(path) if name.startswith("deepfake_seq.")}
        forbidden = used - MAY_IMPORT[package] - {package, "__version__"}
        if package in {"store", "datasets"}:
            forbidden |= {name.split(".")[0] for name in imports(path)} & FRAMEWORKS
        wrong += [f"{path.relative_to(PACKAGE)} imports {name}" for name in sorted(forbidden)]
    assert not wrong


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*(name.split('.')[0] for name in sys.modules))"
    return set(run_python(code).split())


def test_a_decoding_worker_loads_no_framework() -> None:
    assert not loaded_by("import deepfake_seq.extract.video.decoder_pool") & (
        FRAMEWORKS | {"sklearn", "cv2"}
    )


def test_the_help_needs_little_more_than_click() -> None:
    loaded = loaded_by("import deepfake_seq.cli")
    heavy = FRAMEWORKS | {"numpy", "cv2", "av", "h5py", "jinja2", "matplotlib", "rich", "sklearn"}
    assert not loaded & heavy


def test_every_file_that_is_not_a_module_is_packaged() -> None:
    settings = configparser.ConfigParser()
    settings.read(PACKAGE.parent / "setup.cfg")
    packaged = set()
    for package, patterns in settings["options.package_data"].items():
        folder = PACKAGE.parent.joinpath(*package.split("."))
        packaged |= {path for pattern in patterns.split() for path in folder.glob(pattern)}
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".py"}
    assert {path for path in there if path.parent.name != "__pycache__"} == packaged
