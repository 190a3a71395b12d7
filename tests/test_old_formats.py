"""Stores and runs in the form that commit 6983bb9 wrote work with today's commands.

The files are written here with h5py, json, csv and safetensors alone, so that a change of today's
writers cannot change them. The expected scores were computed by that commit.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import av
import cv2
import h5py
import numpy as np
import pytest
from calling import deepseq
from clips import write_images
from safetensors.numpy import save_file

FRAMES, WIDTH, UNITS, DENSE = 16, 8, (4, 3, 2), 32

FINGERPRINT = {
    "sampling": {"strategy": "uniform", "frames": FRAMES},
    "faces": {
        "detector": "none",
        "weights_sha256": "none",
        "short_side": 360,
        "margin": 0.3,
        "people": "largest",
        "crop_size": 32,
    },
    # `predict` refuses other versions than those that the features were made with.
    "versions": {
        "pipeline": 2,
        "av": av.__version__.split(".")[0],
        "opencv": cv2.__version__.split(".")[0],
    },
    "backbone": {
        "name": "efficientnet_b1",
        "weights_sha256": "untrained:seed=0",
        "precision": "float32",
    },
    "cache": {"dtype": "float16"},
}

EXTRACT_CONFIG = {
    "sampling": {"strategy": "uniform", "frames": FRAMES},
    "faces": {
        "detector": "none",
        "detector_weights": None,
        "short_side": 360,
        "margin": 0.3,
        "people": "largest",
        "image_format": "webp",
    },
    "backbone": {"name": "efficientnet_b1", "weights": "untrained", "precision": "float32"},
}

CLIPS = [f"{('real', 'fake')[number % 2]}/{number:02}.mp4" for number in range(24)]
SPLIT = {"train": CLIPS[:12], "validation": CLIPS[12:18], "test": CLIPS[18:], "dropped": []}

TEST_SCORES = [
    0.32223762315516596,
    0.591079630284173,
    0.37257269044768093,
    0.46515591763828446,
    0.23256838338921804,
    0.5215149474430583,
]
"""Scores of the test clips, as commit 6983bb9 computed them."""


def fingerprint_id() -> str:
    text = json.dumps(FINGERPRINT, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def label_of(name: str) -> int:
    return int(name.startswith("fake"))


def groups_of(name: str) -> list[str]:
    """One person for each real clip and the fake that follows it."""
    return [f"person{CLIPS.index(name) // 2}"]


def sha256_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")


def metadata_of(name: str) -> bytes:
    values = {
        "facts": {
            "codec": "h264",
            "duration_seconds": 0.64,
            "faces_filled": 0,
            "faces_found": FRAMES,
            "fps": 25.0,
            "frames_sampled": FRAMES,
            "frames_total": FRAMES,
            "height": 64,
            "width": 64,
        },
        "groups": groups_of(name),
        "label": label_of(name),
        "reason": "",
        "revision": 1,
        "source": {"mtime_ns": 1, "sha256": sha256_of(name), "size_bytes": 1000},
        "split": "",
        "status": "ok",
        "transient": False,
        "video_id": name,
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def arrays_of(name: str) -> dict[str, np.ndarray]:
    """The arrays of a record in the order in which they are hashed."""
    generator = np.random.default_rng(CLIPS.index(name))
    features = generator.normal(label_of(name), 1.0, size=(FRAMES, WIDTH))
    return {
        "mask": np.ones(FRAMES, dtype=np.bool_),
        "frame_index": np.arange(FRAMES, dtype=np.int64),
        "pts_seconds": np.arange(FRAMES) * 0.04,
        "boxes_xyxy": np.tile(np.array([0, 0, 64, 64], dtype=np.float32), (FRAMES, 1)),
        "scores": np.ones(FRAMES, dtype=np.float32),
        "features": features.astype(np.float16),
    }


def write_store(folder: Path) -> Path:
    """Write `store.json` and one shard of all `CLIPS`."""
    folder.mkdir()
    description = {
        "format": "deepseq-store",
        "format_version": 2,
        "fingerprint_id": fingerprint_id(),
        "fingerprint": FINGERPRINT,
        "extract_config": EXTRACT_CONFIG,
    }
    write_json(folder / "store.json", description)
    rows = [arrays_of(name) for name in CLIPS]
    texts = [metadata_of(name) for name in CLIPS]
    digests = []
    for text, arrays in zip(texts, rows, strict=True):
        shape = b"\0%d %d\0" % (FRAMES, WIDTH)
        digest = hashlib.sha256(
            text + shape + b"".join(array.tobytes() for array in arrays.values())
        )
        digests.append(digest.digest())
    index = [[name, 1, digest.hex()] for name, digest in zip(CLIPS, digests, strict=True)]
    checked = {
        "description": np.frombuffer((folder / "store.json").read_bytes(), dtype=np.uint8),
        "index": np.frombuffer(json.dumps(index).encode(), dtype=np.uint8),
        "metadata": np.array(texts, dtype=np.bytes_).view(np.uint8).reshape(len(texts), -1),
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.attrs["format"] = np.bytes_("deepseq-features")
        file.attrs["format_version"] = 2
        file.attrs["fingerprint_id"] = np.bytes_(fingerprint_id())
        for name, array in checked.items():
            file[name] = array
            file.attrs[f"{name}_sha256"] = np.bytes_(hashlib.sha256(array.tobytes()).hexdigest())
        file["sha256"] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
        for name in rows[0]:
            stacked = np.stack([arrays[name] for arrays in rows])
            file[name] = stacked.view(np.uint8) if name == "mask" else stacked
    shard = f"shard-{hashlib.sha256(b''.join(digests)).hexdigest()[:24]}.h5"
    (folder / shard).write_bytes(buffer.getvalue())
    return folder


def tensors_of(seed: int) -> dict[str, np.ndarray]:
    """The tensors of a GRU with small layers, random but for the preprocessing."""
    generator = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = WIDTH
    for layer, units in enumerate(UNITS, start=1):
        cell = f"gru_{layer}/gru_cell"
        shapes[f"{cell}/kernel"] = (inputs, 3 * units)
        shapes[f"{cell}/recurrent_kernel"] = (units, 3 * units)
        shapes[f"{cell}/bias"] = (2, 3 * units)
        inputs = units
    for layer, units in enumerate(UNITS[:2], start=1):
        shapes |= {
            f"norm_{layer}/{name}": (units,)
            for name in ("beta", "gamma", "moving_mean", "moving_variance")
        }
    shapes |= {"dense/kernel": (UNITS[-1], DENSE), "dense/bias": (DENSE,)}
    shapes |= {"logit/kernel": (DENSE, 1), "logit/bias": (1,)}
    tensors = {
        f"member_0/network/{name}": generator.uniform(0.3, 1.0, shape).astype(np.float32)
        * generator.choice(np.array([1, 1 if "variance" in name else -1], np.float32), shape)
        for name, shape in shapes.items()
    }
    tensors["member_0/preprocessor/mean"] = np.full(WIDTH, 0.5, dtype=np.float32)
    tensors["member_0/preprocessor/scale"] = np.ones(WIDTH, dtype=np.float32)
    return tensors


def metrics_of(clips: list[str]) -> dict[str, Any]:
    """Metrics of one split in the old form; their values are those of a perfect model."""
    half = len(clips) // 2
    perfect = {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    values = {
        "auc": 1.0,
        "average_precision": 1.0,
        "eer": 0.0,
        "tpr_at_1_fpr": 1.0,
        "balanced_accuracy": 1.0,
        "macro_f1": 1.0,
        "ece": 0.2,
        "brier": 0.1,
        "accuracy": 1.0,
    }
    confusion = dict.fromkeys(("real_called_fake", "fake_called_real"), 0)
    return {
        "clips": {"real": half, "fake": half},
        "groups": half,
        "threshold": 0.5,
        **values,
        "per_class": {"real": perfect, "fake": perfect},
        "confusion": {"real_called_real": half, **confusion, "fake_called_fake": half},
        "doubt": {"clips": 0, "share": 0.0, "accuracy_outside": 1.0},
        "intervals": {**dict.fromkeys(values), "brier": [0.05, 0.15]},
    }


def write_run(folder: Path, seed: int = 11) -> Path:
    """Write every file of a run but its plot."""
    folder.mkdir()
    counts = {name: len(clips) for name, clips in SPLIT.items()}
    model = {
        "name": "gru",
        "bidirectional": False,
        "dropout": 0.3,
        "inputs": "features",
        "shuffle_frames": False,
        "units": list(UNITS),
    }
    tensors = tensors_of(seed)
    total = sum(tensor.size for name, tensor in tensors.items() if "/network/" in name)
    description = {
        "format": "deepseq-run",
        "format_version": 2,
        "model": model,
        "members": 1,
        "input": {"frames": FRAMES, "width": WIDTH},
        "calibration": {"slope": 3.0, "intercept": 1.8},
        "decision": {
            "threshold": 0.5,
            "band": [0.5, 0.5],
            "rule": "balanced",
            "target_fpr": 0.05,
            "validation_fpr": 0.0,
            "clips": {"real": 3, "fake": 3},
            "supported": False,
            "thresholds": {"fpr": 0.5, "balanced": 0.5},
        },
        "data": "features",
        "fingerprint_id": fingerprint_id(),
        "fingerprint": FINGERPRINT,
        "extract_config": EXTRACT_CONFIG,
        "created": "2026-11-20T12:00:00+00:00",
        "parameters": {"total": total, "trainable": total - 14},
        "split": counts,
        "views": {"real": 0, "fake": 0},
        "official_split": False,
        "recipe": {
            "model": model,
            "train": {
                "epochs": 2,
                "batch_size": 32,
                "learning_rate": 0.001,
                "patience": 15,
                "gamma": 2.0,
                "balance": ["alpha"],
                "members": 1,
                "seed": 0,
                "runtime": "numpy",
            },
            "split": {
                "strategy": "auto",
                "validation": 0.2,
                "test": 0.2,
                "allow_shared": False,
                "seed": 0,
            },
            "decision": {"threshold": "fpr", "target_fpr": 0.05},
        },
        "training": {
            "balance": "alpha: a real clip counts 1.00, a fake one 1.00",
            "effective_weights": {"real": 1.0, "fake": 1.0},
            "best_epochs": [2],
        },
        "shortcut": {"auc": 0.5, "facts": {"width": 0.5}, "clips": 24},
        "warnings": ["24 clips prove little: other clips may give very different figures."],
        "versions": {"deepfake-seq": "0.1.0", "numpy": "2.4.6"},
    }
    write_json(folder / "model.json", description)
    save_file(tensors, folder / "model.safetensors")
    split = {
        split_name: {name: {"sha256": sha256_of(name), "groups": groups_of(name)} for name in clips}
        for split_name, clips in SPLIT.items()
    }
    write_json(folder / "split.json", split)
    validation, test = metrics_of(SPLIT["validation"]), metrics_of(SPLIT["test"])
    baseline = {"validation": validation, "test": test}
    write_json(
        folder / "metrics.json",
        {"validation": validation, "test": test, "baselines": {"majority": baseline}},
    )
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video_id", "part", "label", "score", "sha256", "groups", "method"))
        for split_name in ("validation", "test"):
            for position, name in enumerate(SPLIT[split_name]):
                score = abs(label_of(name) - 0.1 - 0.01 * position - 0.001 * seed)
                row = (name, split_name, label_of(name), score, sha256_of(name))
                writer.writerow((*row, ";".join(groups_of(name)), ""))
    (folder / "history.csv").write_text(
        "member,epoch,loss,val_loss,val_auc\n0,1,0.3,0.3,\n0,2,0.2,0.25,1.0\n"
    )
    (folder / "README.md").write_text("# gru\n\nA deepseq sequence model.\n")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "features")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def test_info_describes_an_old_store(store: Path) -> None:
    result = deepseq("info", store, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["fingerprint_id"] == fingerprint_id()
    assert deepseq("verify", store).exit_code == 0


def test_info_describes_an_old_run(run: Path) -> None:
    result = deepseq("info", run)
    assert result.exit_code == 0
    assert "12 train, 6 validation, 6 test" in result.stdout
    assert "24 clips prove little" in result.stdout


def test_compare_reads_old_runs(run: Path, tmp_path: Path) -> None:
    result = deepseq("compare", run, write_run(tmp_path / "other", seed=9), "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert json.dumps(report).count('"threshold_rule": "balanced"') == 2


def test_fit_trains_on_an_old_store(store: Path, tmp_path: Path) -> None:
    result = deepseq(
        *("fit", "--features", store, "--out", tmp_path / "new", "--model", "logistic", "--json")
    )
    assert result.exit_code == 0
    assert sum(json.loads(result.stdout)["split"].values()) >= len(CLIPS)


def test_evaluate_gives_an_old_run_its_old_scores(run: Path, store: Path) -> None:
    result = deepseq("evaluate", run, "--features", store, "--json")
    assert result.exit_code == 0
    labels = np.array([label_of(name) for name in SPLIT["test"]])
    brier = np.mean((np.array(TEST_SCORES) - labels) ** 2)
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["brier"] == pytest.approx(brier, abs=1e-6)
    assert (run / "report.html").stat().st_size > 10_000


@pytest.mark.usefixtures("tiny_cnn")
def test_predict_classifies_a_clip_with_an_old_run(run: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    clip = write_images(tmp_path / "clip.mp4", list(images))
    result = deepseq("predict", clip, "--run", run, "--json")
    assert result.exit_code == 0
    (verdict,) = json.loads(result.stdout)
    assert verdict["verdict"] == ("fake" if verdict["score"] >= 0.5 else "real")
    assert (verdict["frames_used"], verdict["threshold"]) == (FRAMES, 0.5)
