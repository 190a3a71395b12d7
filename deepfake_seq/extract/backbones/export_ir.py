"""Translate a Keras CNN into OpenVINO's format.

Run as a separate program::

    python -m deepfake_seq.extract.backbones.export_ir ROW WEIGHTS TARGET.xml

Keras runs on its OpenVINO backend with channels first, which gives the simplest graph and needs no
TensorFlow. A process can have only one Keras backend, hence the separate program.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfake_seq.extract.backbones.table import Backbone

BAD_WEIGHTS = 3

_BYTES_PER_WEIGHT = 4
_GRAPH_BYTES = 1 << 20
"""Room for the `.xml` file; the largest one, of EfficientNetB1, has 572,276 bytes."""


def main(row_json: str, weights: str, target: str) -> int:
    """Write TARGET.xml and TARGET.bin.

    Args:
        row_json: The fields of a `Backbone`, as JSON.
        weights: Path of the weights file; empty for untrained weights.
        target: Path of the .xml file, in a temporary folder.

    Returns:
        The exit code: 0; `BAD_WEIGHTS` if the weights do not fit the CNN; 1 if the folder has no
        room for the files. The last line of stderr is the reason.
    """
    os.environ["KERAS_BACKEND"] = "openvino"
    from deepfake_seq.backend import load_keras, load_openvino
    from deepfake_seq.errors import WeightsError
    from deepfake_seq.extract.backbones.table import Backbone, build_keras_model

    load_keras().config.set_image_data_format("channels_first")
    try:
        row = Backbone(**json.loads(row_json))
        model = build_keras_model(row, Path(weights) if weights else None)
    except WeightsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the parent reads it
        return BAD_WEIGHTS
    network = Path(target)
    needed = _BYTES_PER_WEIGHT * model.count_params() + _GRAPH_BYTES
    free = shutil.disk_usage(network.parent).free
    if free < needed:
        # Otherwise OpenVINO would report `basic_ios::clear: iostream error`.
        print(f"{needed:,} bytes are needed, but {free:,} are free", file=sys.stderr)  # noqa: T201
        return 1
    model.export(str(network), format="openvino", verbose=False)
    load_openvino().save_model(_taking_crops(network, row), network, compress_to_fp16=False)
    return 0


def _taking_crops(network: Path, row: Backbone) -> Any:
    """Return the network with `preprocess` built in; its input is a uint8 RGB crop (1, S, S, 3)."""
    from deepfake_seq.backend import load_openvino
    from deepfake_seq.extract.backbones.table import CAFFE_MEANS_BGR

    openvino = load_openvino()
    preprocess = openvino.preprocess
    # Read from bytes, so that the file is not in use when it is overwritten.
    model = openvino.Core().read_model(
        network.read_bytes(), network.with_suffix(".bin").read_bytes()
    )
    model.reshape([1, 3, row.crop_size, row.crop_size])
    processor = preprocess.PrePostProcessor(model)
    tensor, steps = processor.input().tensor(), processor.input().preprocess()
    tensor.set_layout(openvino.Layout("NHWC")).set_element_type(openvino.Type.u8)
    tensor.set_color_format(preprocess.ColorFormat.RGB)
    processor.input().model().set_layout(openvino.Layout("NCHW"))
    steps.convert_element_type(openvino.Type.f32)
    if row.inputs == "tf":
        steps.scale(127.5).mean(1.0)
    elif row.inputs == "caffe":
        steps.convert_color(preprocess.ColorFormat.BGR).mean(
            [float(mean) for mean in CAFFE_MEANS_BGR]
        )
    return processor.build()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
