"""Translate a Keras CNN into OpenVINO's format.

A program of its own::

    python -m deepfake_seq.extract.runtimes.export_ir NAME WEIGHTS TARGET.xml

It runs Keras on its OpenVINO backend, with channels first, which gives the plainest graph and needs
no TensorFlow. A process can have only one Keras backend, hence the program.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

BAD_WEIGHTS = 3


def main(name: str, weights: str, target: str) -> int:
    """Write TARGET.xml and TARGET.bin, whole; an empty WEIGHTS means untrained."""
    os.environ["KERAS_BACKEND"] = "openvino"
    import keras

    from deepfake_seq.errors import WeightsError
    from deepfake_seq.extract.backbones import build_keras_model

    keras.config.set_image_data_format("channels_first")
    try:
        model = build_keras_model(name, Path(weights) if weights else None)
    except WeightsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the parent reads it
        return BAD_WEIGHTS
    final = Path(target)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=final.parent) as folder:
        draft = Path(folder, final.name)
        model.export(str(draft), format="openvino", verbose=False)
        # The .xml goes last: where it is, the .bin is there too.
        for suffix in (".bin", ".xml"):
            draft.with_suffix(suffix).replace(final.with_suffix(suffix))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
