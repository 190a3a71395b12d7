"""Translate a Keras CNN with some of its outputs into OpenVINO's format.

Run as a separate program::

    python -m deepfake_seq.extract.backbones.export_ir ROW WEIGHTS OUTPUTS TARGET.xml

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
"""Room for the `.xml` file; the largest one, EfficientNetB1 with all outputs, has 748,785 bytes."""


def main(row_json: str, weights: str, outputs: str, target: str) -> int:
    """Write TARGET.xml and TARGET.bin.

    Args:
        row_json: The fields of a `Backbone`, as JSON.
        weights: Path of the weights file; empty for untrained weights.
        outputs: Names of the outputs, joined by commas; see `outputs.INPUTS_OF`.
        target: Path of the .xml file, in a temporary folder.

    Returns:
        The exit code: 0; `BAD_WEIGHTS` if the weights do not fit the CNN; 1 if the folder has no
        room for the files. The last line of stderr is the reason.
    """
    os.environ["KERAS_BACKEND"] = "openvino"
    from deepfake_seq.backend import load_keras, load_openvino
    from deepfake_seq.errors import WeightsError
    from deepfake_seq.extract.backbones.outputs import build_outputs
    from deepfake_seq.extract.backbones.table import Backbone

    load_keras().config.set_image_data_format("channels_first")
    try:
        row = Backbone(**json.loads(row_json))
        model = build_outputs(
            row, Path(weights) if weights else None, outputs.split(","), takes_bytes=False
        )
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
    load_openvino().save_model(_taking_bytes(network, row), network, compress_to_fp16=False)
    return 0


def _taking_bytes(network: Path, row: Backbone) -> Any:
    """Return the network with `preprocess` built in, for one face at a time.

    Its images are uint8 RGB, (1, S, S, 3).
    """
    from deepfake_seq.backend import load_openvino
    from deepfake_seq.extract.backbones.outputs import IMAGES
    from deepfake_seq.extract.backbones.table import CAFFE_MEANS_BGR

    openvino = load_openvino()
    preprocess = openvino.preprocess
    # Read from bytes, so that the file is not in use when it is overwritten.
    model = openvino.Core().read_model(
        network.read_bytes(), network.with_suffix(".bin").read_bytes()
    )
    model.reshape({port.get_any_name(): [1, *port.partial_shape[1:]] for port in model.inputs})
    processor = preprocess.PrePostProcessor(model)
    taken = {port.get_any_name() for port in model.inputs}
    for name in [name for name in IMAGES if name in taken]:
        tensor, steps = processor.input(name).tensor(), processor.input(name).preprocess()
        tensor.set_layout(openvino.Layout("NHWC")).set_element_type(openvino.Type.u8)
        tensor.set_color_format(preprocess.ColorFormat.RGB)
        processor.input(name).model().set_layout(openvino.Layout("NCHW"))
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
