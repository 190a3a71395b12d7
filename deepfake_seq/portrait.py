"""The portrait that clips of the demo and calibration crops are made from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import EngineError


def portrait() -> npt.NDArray[np.uint8]:
    """Return the portrait of Rear Admiral Grace Hopper, uint8 (600, 512, 3), RGB.

    It is in the public domain and comes with matplotlib's sample data.

    Raises:
        EngineError: The file is missing.
    """
    from matplotlib import get_data_path

    path = Path(get_data_path(), "sample_data", "grace_hopper.jpg")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise EngineError(
            f"the sample data of matplotlib is missing: no {path}. Reinstall matplotlib."
        )
    return image.astype(np.uint8)
