"""Crash a removal or a renaming at one step after another, and check the store each time. A script.

crashing_changes.py FOLDER CHANGE EVERY

CHANGE is `take_out` or `give_new_names` of `changing`; the process is ended before every EVERY-th
step that changes the disk. After each crash, no other record may be lost, damaged or changed; the
next writer completes the change or has nothing to complete; and repeating the change gives the
same store as a run without a crash. Prints the number of crashes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import changing
from disk import watching

from deepfake_seq.errors import StoreError
from deepfake_seq.store import faces_of
from deepfake_seq.store.rewriting import JOURNAL
from deepfake_seq.store.upkeep.verify import verify

CRASHED = 9
CHANGE = getattr(changing, sys.argv[2])


def is_crashed(step: int, path: Path) -> bool:
    """Make the change in a child process that ends at a step; return whether it got that far."""
    child = os.fork()
    if not child:
        left = step

        def before(name: str, *arguments: Any) -> None:
            nonlocal left
            if not left:
                os._exit(CRASHED)
            left -= 1

        try:
            with watching(before):
                CHANGE(path)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, CRASHED), f"step {step}: exit code {code}"
    return code == CRASHED


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    original, whole = folder / "original", folder / "whole"
    changing.prepare(original)
    before = changing.contents(original)
    shutil.copytree(original, whole)
    CHANGE(whole)
    after = changing.contents(whole)
    kept = before.keys() & after.keys()
    step = crashes = 0
    while True:
        path = folder / f"{step}"
        shutil.copytree(original, path)
        if not is_crashed(step, path):
            break
        state = changing.contents(path)
        assert {name: state[name] for name in kept} == {name: before[name] for name in kept}
        assert (before | after).items() >= state.items(), f"step {step}: {state.keys()}"
        for store in (path, faces_of(path)):
            assert verify(store).is_whole, f"step {step}"
        changing.complete(path)
        assert not list(path.rglob(JOURNAL)), f"step {step}"
        for kind in ("features", "faces"):  # each store is changed completely or not at all
            mine = {name for name in changing.contents(path) if name.startswith(kind)}
            options = [
                {name for name in state if name.startswith(kind)} for state in (before, after)
            ]
            assert mine in options, f"step {step}: {mine}"
        with contextlib.suppress(StoreError):  # removed already
            CHANGE(path)
        assert changing.contents(path) == after, f"step {step}: the completed store differs"
        gone = [data for name, data in before.items() if data not in after.values()]
        assert not any(data in changing.file_bytes(path) for data in gone), f"step {step}"
        for store in (path, faces_of(path)):
            report = verify(store)
            assert report.is_whole and not report.leftovers, f"step {step}: {report}"
        shutil.rmtree(path)
        step += int(sys.argv[3])
        crashes += 1
    sys.stdout.write(f"{crashes}")


if __name__ == "__main__":
    main()
