"""Checkpoints are restored completely, or refused with a clear message."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deepfake_seq import atomic
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.finetune.checkpoint import Checkpoints, FinetuneProgress

IDENTITY = {"learning_rate": 1e-3, "clips": {"train": ["a", "b"]}, "degrade": ("jpeg",)}


def progress_of(epochs: int, best: int) -> FinetuneProgress:
    history = [{"epoch": float(epoch), "loss": 1.0 / epoch} for epoch in range(1, epochs + 1)]
    return FinetuneProgress(history, best, (0.5, -0.1))


def weights_of(epoch: int) -> list[np.ndarray]:
    return [np.full((2, 3), epoch, np.float32), np.float32(epoch) * np.ones((), np.float32)]


def optimizer_of(epoch: int) -> list[np.ndarray]:
    return [np.array(epoch, dtype=np.int64), np.full(3, epoch, np.float16)]


def _state(**changes: object) -> bytes:
    """Make a state with invalid values."""
    whole = {"identity": {}, "history": [], "best_epoch": 1, "merit": [], "latest": "a"}
    return json.dumps({**whole, **changes}).encode()


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Checkpoints of two epochs, of which the first is the best."""
    checkpoints = Checkpoints(tmp_path / "run", IDENTITY)
    with checkpoints.locked():
        checkpoints.save(progress_of(1, 1), weights_of(1), optimizer_of(1))
        checkpoints.save(progress_of(2, 1), weights_of(2), optimizer_of(2))
    return checkpoints


def test_before_the_first_epoch_there_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", IDENTITY)
    with checkpoints.locked():
        assert checkpoints.load() is None


def test_the_last_epoch_and_the_best_weights_are_restored(checkpoints: Checkpoints) -> None:
    checkpoint = checkpoints.load()
    assert checkpoint
    progress, arrays = checkpoint
    assert progress == progress_of(2, 1)
    for stored, expected in (
        (arrays["weights"], weights_of(2)),
        (arrays["optimizer"], optimizer_of(2)),
        (checkpoints.best(progress), weights_of(1)),
    ):
        for one, other in zip(stored, expected, strict=True):
            assert one.shape == other.shape and one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_only_the_needed_files_are_kept(checkpoints: Checkpoints) -> None:
    names = {path.name for path in checkpoints.folder.iterdir()}
    assert names - {"lock"} == {"state.json", "epoch-2.safetensors", "best-1.safetensors"}


@pytest.mark.parametrize("failing", range(1, 4))
def test_a_failed_write_leaves_the_previous_epoch(
    failing: int, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third epoch is the best: two large files are written before the small one."""
    calls = 0

    def write_bytes(path: Path, data: bytes, scratch: Path | None = None) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(28, "No space left on device")
        with atomic.replacing(path, scratch) as file:
            file.write(data)

    monkeypatch.setattr(atomic, "write_bytes", write_bytes)
    with pytest.raises(RunError, match="No space left"):
        checkpoints.save(progress_of(3, 3), weights_of(3), optimizer_of(3))
    checkpoint = checkpoints.load()
    assert checkpoint and checkpoint[0] == progress_of(2, 1)
    np.testing.assert_array_equal(checkpoints.best(checkpoint[0])[0], weights_of(1)[0])


def test_another_training_is_refused_with_the_differences(tmp_path: Path) -> None:
    first = Checkpoints(tmp_path / "run", IDENTITY)
    with first.locked():
        first.save(progress_of(1, 1), weights_of(1), optimizer_of(1))
    other = Checkpoints(tmp_path / "run", {**IDENTITY, "learning_rate": 1e-2})
    with pytest.raises(UsageError, match=r"other settings: learning_rate was 0\.001"):
        other.load()
    clips = Checkpoints(tmp_path / "run", {**IDENTITY, "clips": {"train": ["a"]}})
    with pytest.raises(UsageError, match="other settings: other clips"):
        clips.load()
    assert Checkpoints(tmp_path / "run", IDENTITY).load() is not None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", b"{}"),
        ("state.json", b"no json"),
        ("state.json", _state(identity=[1])),
        ("state.json", _state(history=[{"loss": "much"}])),
        ("state.json", _state(best_epoch="1")),
        ("state.json", _state(merit=None)),
        ("epoch-2.safetensors", b"cut"),
        ("epoch-2.safetensors", None),
    ],
)
def test_a_damaged_file_is_named(
    name: str, content: bytes | None, checkpoints: Checkpoints
) -> None:
    path = checkpoints.folder / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=name):
        checkpoints.load()


def test_a_state_with_a_path_outside_its_folder_is_refused(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    state = checkpoints.folder / "state.json"
    (checkpoints.folder / "epoch-2.safetensors").rename(tmp_path / "epoch-2.safetensors")
    state.write_text(state.read_text().replace("epoch-2", "../epoch-2"))
    with pytest.raises(RunError, match="its name contains a folder"):
        checkpoints.load()


def test_the_training_is_locked_against_another_process(tmp_path: Path) -> None:
    one, other = (Checkpoints(tmp_path / "run", IDENTITY) for _ in range(2))
    with (
        one.locked(),
        pytest.raises(UsageError, match="another process is writing"),
        other.locked(),
    ):
        pass


def test_removing_the_checkpoints_removes_their_folder(checkpoints: Checkpoints) -> None:
    checkpoints.remove()
    assert not checkpoints.folder.exists()
