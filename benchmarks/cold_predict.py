"""Time a cold `deepseq predict` of one clip, compared with importing TensorFlow.

python benchmarks/cold_predict.py RUN CLIP

Each command is run several times in a new process, interleaved with the others. The baseline is the
import of TensorFlow, the floor the import of the packages that `predict` needs: OpenVINO, PyAV,
OpenCV, h5py.
"""

from __future__ import annotations

import sys

from interleaved_timing import median_seconds

ROUNDS = 5
NEEDED_IMPORTS = "import av, cv2, h5py, numpy, openvino, safetensors"


def main() -> None:
    run, clip = sys.argv[1:]
    commands = {
        "import tensorflow": ("-c", "import tensorflow"),
        "import what predict needs": ("-c", NEEDED_IMPORTS),
        "deepseq predict": ("-m", "deepfake_seq", "predict", clip, "--run", run),
    }
    medians = median_seconds(commands, ROUNDS, accepted=(0, 4))  # 4: the clip is inconclusive
    baseline = medians["import tensorflow"]
    for name, seconds in medians.items():
        print(f"{name:26} {seconds:6.2f} s  {seconds / baseline:.2f} x the baseline")


if __name__ == "__main__":
    main()
