"""Translate a Keras CNN with all its outputs into OpenVINO's format.

Run as a separate program::

    python -m deepfake_seq.extract.backbones.export_ir ROW WEIGHTS TARGET.xml

Keras runs on its OpenVINO backend with channels first, which gives the simplest graph and needs no
TensorFlow. A process can have only one Keras backend, hence the separate program.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfake_seq.extract.backbones.table import Backbone

BAD_WEIGHTS = 3


def main(row_json: str, weights: str, target: str) -> int:
    """Write TARGET.xml and TARGET.bin atomically.

    Args:
        row_json: The fields of a `Backbone`, as JSON.
        weights: Path of the weights file; empty for untrained weights.
        target: Path of the .xml file.

    Returns:
        The exit code: 0, or `BAD_WEIGHTS` if the weights do not fit the CNN.
    """
    os.environ["KERAS_BACKEND"] = "openvino"
    import keras
    import openvino

    from deepfake_seq.errors import WeightsError
    from deepfake_seq.extract.backbones.outputs import OUTPUTS, build_outputs
    from deepfake_seq.extract.backbones.table import Backbone

    keras.config.set_image_data_format("channels_first")
    try:
        row = Backbone(**json.loads(row_json))
        model = build_outputs(row, Path(weights) if weights else None, OUTPUTS, takes_bytes=False)
    except WeightsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the parent reads it
        return BAD_WEIGHTS
    final = Path(target)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=final.parent) as folder:
        draft = Path(folder, final.name)
        model.export(str(draft), format="openvino", verbose=False)
        openvino.save_model(_taking_bytes(draft, row), draft, compress_to_fp16=False)
        # The .xml is moved last, so that the .bin exists whenever the .xml does.
        for suffix in (".bin", ".xml"):
            draft.with_suffix(suffix).replace(final.with_suffix(suffix))
    return 0


def _taking_bytes(network: Path, row: Backbone) -> Any:
    """Return the network with `preprocess` built in and its outputs named.

    It takes one face at a time; its images are uint8 RGB (1, S, S, 3).
    """
    import openvino
    from openvino.preprocess import ColorFormat, PrePostProcessor

    from deepfake_seq.extract.backbones.outputs import OUTPUTS
    from deepfake_seq.extract.backbones.table import CAFFE_MEANS_BGR

    # Read from bytes, so that the file is not in use when it is overwritten.
    model = openvino.Core().read_model(
        network.read_bytes(), network.with_suffix(".bin").read_bytes()
    )
    model.reshape({port.get_any_name(): [1, *port.partial_shape[1:]] for port in model.inputs})
    for name, port in zip(OUTPUTS, model.outputs, strict=True):
        port.get_tensor().set_names({name})
    processor = PrePostProcessor(model)
    for name in ("crops_rgb", "residuals"):
        tensor, steps = processor.input(name).tensor(), processor.input(name).preprocess()
        tensor.set_layout(openvino.Layout("NHWC")).set_element_type(openvino.Type.u8)
        tensor.set_color_format(ColorFormat.RGB)
        processor.input(name).model().set_layout(openvino.Layout("NCHW"))
        steps.convert_element_type(openvino.Type.f32)
        if row.inputs == "tf":
            steps.scale(127.5).mean(1.0)
        elif row.inputs == "caffe":
            steps.convert_color(ColorFormat.BGR).mean([float(mean) for mean in CAFFE_MEANS_BGR])
    return processor.build()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
