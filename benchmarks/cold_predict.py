"""A cold `deepseq predict` of one clip, beside importing TensorFlow alone.

python benchmarks/cold_predict.py RUN CLIP

Each command is a process of its own, in turn with the others. The floor is to import what predict
needs: OpenVINO, PyAV, OpenCV, h5py.
"""

from __future__ import annotations

import sys

from interleaved_timing import medians

ROUNDS = 5
NEEDED = "import av, cv2, h5py, numpy, openvino, safetensors"


def main() -> None:
    run, clip = sys.argv[1:]
    commands = {
        "import tensorflow": ("-c", "import tensorflow"),
        "import what predict needs": ("-c", NEEDED),
        "deepseq predict": ("-m", "deepfake_seq", "predict", clip, "--run", run),
    }
    times = medians(commands, ROUNDS, good=(0, 4))  # 4: the clip is inconclusive
    baseline = times["import tensorflow"]
    for name, middle in times.items():
        print(f"{name:26} {middle:6.2f} s  {middle / baseline:.2f} x")


if __name__ == "__main__":
    main()
