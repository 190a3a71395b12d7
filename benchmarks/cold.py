"""A cold `deepseq predict` of one clip, beside importing TensorFlow alone.

python benchmarks/cold.py RUN CLIP

Each command is a process of its own, in turn with the others. The floor is to import what predict
needs: OpenVINO, PyAV, OpenCV, h5py.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 5
NEEDED = "import av, cv2, h5py, numpy, openvino, safetensors"


def seconds(*arguments: str) -> float:
    begin = time.perf_counter()
    result = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    assert result.returncode in (0, 4), result.stderr.decode()  # 4: the clip is inconclusive
    return time.perf_counter() - begin


def main() -> None:
    run, clip = sys.argv[1:]
    commands = {
        "import tensorflow": ("-c", "import tensorflow"),
        "import what predict needs": ("-c", NEEDED),
        "deepseq predict": ("-m", "deepfake_seq", "predict", clip, "--run", run),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, arguments in commands.items():
            times[name].append(seconds(*arguments))
    baseline = statistics.median(times["import tensorflow"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:26} {middle:6.2f} s  {middle / baseline:.2f} x")


if __name__ == "__main__":
    main()
