"""Runs a small sweep again and again, each time killed some statements later. A script.

`crashing_sweep.py FOLDER STEP` kills at every STEP-th statement that SQLite is given, and prints
how many kills there were; it fails where a sweep that goes on does not end as one without a kill.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from records import make_store
from sweeping import made_up, make_plan, outcomes

from deepfake_seq.sequence.sweep import sweep as sweeping

SPACE = {"model": ["gru,lstm"], "learning_rate": ["1e-4:1e-2"], "gamma": ["0,1"]}


def kill_before(statement: int) -> None:
    """Have this process killed when SQLite is given so many statements."""
    left = statement

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    really = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = really(*arguments, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = connect


def killed(statement: int, plan: sweeping.Plan, folder: Path) -> bool:
    child = os.fork()
    if not child:
        try:
            kill_before(statement)
            sweeping.sweep(plan, folder, validate=made_up)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), f"statement {statement}: exit code {code}"
    return code != 0


def main() -> None:
    folder, step = Path(sys.argv[1]), int(sys.argv[2])
    plan = make_plan(make_store(folder / "store"), SPACE, strategy="tpe", trials=3)
    expected = outcomes(sweeping.sweep(plan, folder / "whole", validate=made_up))
    kills = 0
    while killed(kills * step, plan, folder / f"{kills}"):
        again = outcomes(sweeping.sweep(plan, folder / f"{kills}", validate=made_up))
        assert again == expected, f"killed before statement {kills * step}: {again}"
        kills += 1
    sys.stdout.write(f"{kills}")


if __name__ == "__main__":
    main()
