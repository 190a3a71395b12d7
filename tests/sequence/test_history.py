from __future__ import annotations

from pathlib import Path

import pytest

from deepfake_seq.errors import RunError
from deepfake_seq.sequence.history import read_histories

HEADER = "member,epoch,loss,val_loss,val_auc\n"


def test_each_network_has_its_rows(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(
        f"{HEADER}0,1,0.5,0.6,0.7\n0,2,0.4,0.5,0.8\n1,1,1,2,0.5\n"
    )
    one, other = read_histories(tmp_path)
    assert [row["epoch"] for row in one] == [1, 2]
    assert other == [{"epoch": 1, "loss": 1, "val_loss": 2, "val_auc": 0.5}]


def test_a_model_without_epochs_has_no_history(tmp_path: Path) -> None:
    assert read_histories(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["epoch,loss\n1,2\n", f"{HEADER}0,1,0.5,high,0.7\n", f"{HEADER}0,1,0.5\n", "", "\xff"]
)
def test_a_damaged_history_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"history\.csv"):
        read_histories(tmp_path)
