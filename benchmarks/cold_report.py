"""Time a cold `deepseq report` of one clip, without and with maps, compared with `deepseq predict`.

python benchmarks/cold_report.py RUN CLIP

Each command is run several times in a new process, interleaved with the others. The number of crops
in the CNN is printed beside each: it explains the time of the maps.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from interleaved_timing import median_seconds

ROUNDS = 3


def main() -> None:
    run, clip = sys.argv[1:]
    with tempfile.TemporaryDirectory() as out:
        report = ("-m", "deepfake_seq", "report", clip, "--run", run, "--out", out)
        commands = {
            "deepseq predict": ("-m", "deepfake_seq", "predict", clip, "--run", run),
            "deepseq report --maps 0": (*report, "--maps", "0"),
            "deepseq report": report,
        }
        medians = median_seconds(commands, ROUNDS, accepted=(0, 4))  # 4: inconclusive
        document = json.loads(Path(out, f"{Path(clip).name}.json").read_text())["explanation"]
    crops = sum(len(person["frames"]) for person in document["people"])
    counts = dict.fromkeys(commands, crops)
    counts["deepseq report"] += document["map_crops"]
    baseline = medians["deepseq predict"]
    for name, seconds in medians.items():
        print(
            f"{name:24} {seconds:6.2f} s  {seconds / baseline:.2f} x the baseline  "
            f"{counts[name]:4} crops"
        )


if __name__ == "__main__":
    main()
