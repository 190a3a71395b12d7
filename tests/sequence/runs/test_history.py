from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from deepfake_seq.errors import RunError
from deepfake_seq.sequence.runs.history import read_histories, write

HEADER = "member,epoch,loss,val_loss,val_auc\n"


def test_each_network_has_separate_rows(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(
        f"{HEADER}0,1,0.5,0.6,0.7\n0,2,0.4,0.5,0.8\n1,1,1,2,0.5\n"
    )
    one, other = read_histories(tmp_path)
    assert [row["epoch"] for row in one] == [1, 2]
    assert other == [{"epoch": 1, "loss": 1, "val_loss": 2, "val_auc": 0.5}]


def test_a_model_without_epochs_has_no_history(tmp_path: Path) -> None:
    assert read_histories(tmp_path) == []


def test_the_phase_column_may_be_anywhere(tmp_path: Path) -> None:
    lines = ["member,epoch,phase,loss,val_loss,val_auc", "0,1,1,1,2,0.5", "0,2,2.0,1,2,0.6"]
    (tmp_path / "history.csv").write_text("\n".join(lines))
    ((first, second),) = read_histories(tmp_path)
    assert (first["phase"], second["phase"], second["val_auc"]) == (1, 2, 0.6)


@pytest.mark.parametrize("phased", [False, True])
def test_a_history_is_read_back_as_written(tmp_path: Path, phased: bool) -> None:
    phases = [{"phase": 1.0}, {"phase": 2.0}] if phased else [{}, {}]
    rows = [
        {"epoch": number, "loss": 0.25, "val_loss": 0.5, "val_auc": value, **phase}
        for number, value, phase in zip((1.0, 2.0), (math.nan, 0.75), phases, strict=True)
    ]
    write(tmp_path, [rows, rows], [2, 2])
    histories = read_histories(tmp_path)
    assert len(histories) == 2
    for row, expected in zip(histories[1], rows, strict=True):
        assert row.keys() == expected.keys()
        assert np.array_equal(list(map(row.get, expected)), list(expected.values()), equal_nan=True)
    assert (tmp_path / "plots" / "training.png").is_file()


def test_nothing_is_written_without_epochs(tmp_path: Path) -> None:
    write(tmp_path, [[], []], [0, 0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("phase", ["0", "-1", "1.5", "two", "", "nan", "1e9"])
def test_a_phase_is_a_whole_number_from_1(tmp_path: Path, phase: str) -> None:
    (tmp_path / "history.csv").write_text(f"{HEADER.strip()},phase\n0,1,0.5,0.6,0.7,{phase}\n")
    with pytest.raises(RunError, match=r"history\.csv:2"):
        read_histories(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\n1,2\n",
        f"{HEADER}0,1,0.5,high,0.7\n",
        f"{HEADER}0,1,0.5\n",
        "",
        "\xff",
        f"{HEADER}0,1,0.5,,0.7\n",
        f"{HEADER}0,1,0.5,0.6,nan\n",
        f"{HEADER}0,1,0.5,0.6,0.7,8\n",
        f"{HEADER.strip()},phase,phase\n0,1,0.5,0.6,0.7,1,1\n",
    ],
)
def test_a_damaged_history_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"history\.csv"):
        read_histories(tmp_path)
