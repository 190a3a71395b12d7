"""Imports run one way, and heavy packages are imported only where they are needed."""

from __future__ import annotations

import ast
import configparser
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

from children import run_python

PACKAGE = Path(__file__).parents[1] / "deepfake_seq"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOUNDATIONS = {
    "face_regions",
    "errors",
    "config",
    "cores",
    "atomic",
    "locking",
    "published",
    "weights",
    "backend",
    "untrusted",
}
FRAMEWORKS = {"tensorflow", "keras", "openvino", "torch", "jax", "onnxruntime"}
MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "cores": set(),
    "face_regions": set(),
    "atomic": set(),
    "locking": {"errors"},
    "published": set(),
    "wheel": {"errors", "published"},
    "weights": {"errors", "atomic", "published", "wheel"},
    "backend": {"errors"},
    "untrusted": {"errors"},
    "datasets": {"errors", "config"},
    "store": {"errors", "config", "atomic"},
    "augment": {"errors", "config", "face_regions"},
    "portrait": {"errors"},
    "extract": FOUNDATIONS | {"datasets", "store", "augment", "portrait"},
    "sequence": FOUNDATIONS | {"datasets", "store"},
    "finetune": FOUNDATIONS | {"datasets", "store", "augment", "extract", "sequence"},
    "verdict": FOUNDATIONS | {"datasets", "store", "sequence"},
    "predict": FOUNDATIONS | {"datasets", "store", "extract", "sequence", "verdict"},
    "support": {"sequence", "verdict"},
    "verdict_text": {"config", "support", "verdict"},
    "evaluate": FOUNDATIONS | {"datasets", "store", "extract", "sequence"},
    "stress": FOUNDATIONS
    | {"datasets", "store", "augment", "extract", "sequence", "predict", "evaluate"},
    "explain": FOUNDATIONS
    | {"datasets", "store", "extract", "sequence", "predict"}
    | {"verdict", "support", "verdict_text"},
    "audit": {"errors"},
    "serve": FOUNDATIONS
    | {"console", "sequence", "predict", "explain", "verdict", "support", "verdict_text"},
    "console": set(),
    "doctor": FOUNDATIONS,
}
SUBPACKAGES = {
    "store": ["records", "shards", "upkeep"],
    "extract": [
        "video", "backbones", "faces", "evidence", "calibration", "records", "engines",
    ],
    "sequence": [
        "data", "models", "evaluation", "splits", "reports", "training", "runs", "sweep",
    ],
}  # fmt: skip
"""Sub-packages of each package, lowest first; none may import from a later one."""


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at any place in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_run_one_way() -> None:
    wrong = []
    for path in MODULES:
        package = package_of(path)
        if package in {"cli", "commands", "demo", "__init__", "__main__"}:
            continue  # these may import everything
        used = {name.split(".")[1] for name in imports(path) if name.startswith("deepfake_seq.")}
        forbidden = used - MAY_IMPORT[package] - {package, "__version__"}
        if package in {"store", "datasets"} or path.is_relative_to(PACKAGE / "sequence" / "data"):
            forbidden |= {name.split(".")[0] for name in imports(path)} & FRAMEWORKS
        wrong += [f"{name_of(path)} imports {name}" for name in sorted(forbidden)]
    for package, order in SUBPACKAGES.items():
        for path in (PACKAGE / package).glob("*/*.py"):
            above = order[order.index(path.parent.name) + 1 :]
            for name in sorted(imports(path)):
                if name.startswith(tuple(f"deepfake_seq.{package}.{higher}." for higher in above)):
                    wrong.append(f"{name_of(path)} imports {name}")
    assert not wrong


def test_libraries_that_report_their_use_are_imported_where_this_is_disabled() -> None:
    places = {
        "openvino": "deepfake_seq.backend",
        "keras": "deepfake_seq.backend",  # imports OpenVINO
        "retinaface": "deepfake_seq.extract.faces.retinaface",  # imports ONNX Runtime
        "onnxruntime": "",
        "nncf": "deepfake_seq.extract.calibration.nncf_program",
        "ray": "deepfake_seq.extract.engines.cluster",
    }
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in MODULES
        for name in sorted(imports(path))
        if places.get(name.split(".")[0], name_of(path)) != name_of(path)
    ]
    assert not wrong


def test_there_are_no_circular_imports() -> None:
    modules = {name_of(path): path for path in MODULES}

    def imported(path: Path) -> set[str]:
        names = set()
        for name in imports(path):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            names.add(name)
        return names - {"", "deepfake_seq", name_of(path)}

    TopologicalSorter({name: imported(path) for name, path in modules.items()}).prepare()


def test_no_public_class_name_occurs_twice() -> None:
    modules = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(name_of(path))
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages that are loaded after a statement in a new process."""
    code = f"import sys; {statement}; print(*(name.split('.')[0] for name in sys.modules))"
    return set(run_python(code).split())


def test_a_decoding_process_loads_no_framework() -> None:
    assert not loaded_by("import deepfake_seq.extract.video.decoder_pool") & (
        FRAMEWORKS | {"sklearn", "cv2"}
    )


def test_the_help_loads_no_heavy_package() -> None:
    loaded = loaded_by("from deepfake_seq.cli import app; app(['--help'], standalone_mode=False)")
    heavy = FRAMEWORKS | {"numpy", "cv2", "av", "h5py", "jinja2", "matplotlib", "rich", "sklearn"}
    assert not loaded & heavy


def test_every_data_file_is_packaged() -> None:
    settings = configparser.ConfigParser()
    settings.read(PACKAGE.parent / "setup.cfg")
    packaged = set()
    for package, patterns in settings["options.package_data"].items():
        folder = PACKAGE.parent.joinpath(*package.split("."))
        packaged |= {path for pattern in patterns.split() for path in folder.glob(pattern)}
    data_files = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".py"}
    assert {path for path in data_files if path.parent.name != "__pycache__"} == packaged
