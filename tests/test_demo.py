from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deepfake_seq.config import SamplingConfig
from deepfake_seq.demo import clips, show
from deepfake_seq.errors import UsageError
from deepfake_seq.extract.video.decode import decode

TAKE = clips.Take(seed=3, crf=26)


def test_a_take_is_reproducible_and_moves() -> None:
    first, second = (list(clips.frames(TAKE, fake=False)) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.abs(first[0].astype(int) - first[-1]).mean() > 5


def test_a_fake_differs_from_the_real_clip_in_the_face_only() -> None:
    real, fake = (next(clips.frames(TAKE, fake=fake)) for fake in (False, True))
    changed = np.abs(real.astype(int) - fake).max(axis=2) > 40
    assert changed.mean() > 0.01
    rows, columns = np.nonzero(changed)
    assert np.ptp(rows) < 0.9 * clips.SIZE and np.ptp(columns) < 0.9 * clips.SIZE
    assert not changed[:, 0].any() and not changed[:, -1].any() and not changed[-1].any()


def test_a_clip_can_be_decoded(tmp_path: Path) -> None:
    clips.write_clip(tmp_path / "a.mp4", TAKE, fake=True)
    video = decode(tmp_path / "a.mp4", SamplingConfig())
    assert video.status == "ok"
    assert video.facts["frames_total"] == clips.FRAMES


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UsageError, match="already exists"):
        show.run_demo(tmp_path, print)


@pytest.mark.slow
def test_the_demo_classifies_its_clips(tmp_path: Path) -> None:
    lines: list[str] = []
    summary = show.run_demo(tmp_path / "demo", lines.append)
    assert summary["extract"]["failed"] == 0
    assert set(summary["fit"]) == {"gru", "bigru"}
    for fitted in summary["fit"].values():
        assert fitted["test"]["auc"] > 0.8
    assert [verdict["verdict"] for verdict in summary["predict"]] == ["real", "fake"]
    assert "mean nothing" in lines[-1]
    assert json.dumps(summary)
