"""Script that kills a small sweep at ever later SQLite statements and resumes it each time.

`crashing_sweep.py FOLDER STEP` kills at every STEP-th statement and prints the number of kills. It
fails if a resumed sweep has other results than an uninterrupted one.
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
    """Kill this process when SQLite executes the statement of this number."""
    left = statement

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    original_connect = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = original_connect(*arguments, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = connect


def is_killed(statement: int, plan: sweeping.Plan, folder: Path) -> bool:
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
    while is_killed(kills * step, plan, folder / f"{kills}"):
        resumed = outcomes(sweeping.sweep(plan, folder / f"{kills}", validate=made_up))
        assert resumed == expected, f"killed before statement {kills * step}: {resumed}"
        kills += 1
    sys.stdout.write(f"{kills}")


if __name__ == "__main__":
    main()
