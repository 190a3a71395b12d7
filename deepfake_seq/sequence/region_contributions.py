"""What each face region contributes to a score.

Only evidence blocks that describe regions are considered.

The contribution of the linear part of a network is exact: the sum of its terms that belong to the
region, relative to the mean of the training clips. That of the rest is the change of the logit when
the region is replaced in all frames by what the network was trained to expect on average or, where
the network does not know that, by the mean of the other regions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.data.features import Arrays, columns_of
from deepfake_seq.sequence.models.networks import LinearPart, Network
from deepfake_seq.sequence.runs.run import SequenceModel

BLOCKS = ("regions", "residual", "ela")
"""Evidence blocks that contain equally many values for each region, in the order of `REGIONS`."""

_Columns = npt.NDArray[np.int64]


def region_contributions(model: SequenceModel, arrays: Arrays) -> dict[str, float]:
    """Return what each region contributes to the log-odds of fake, through all blocks together.

    Args:
        model: The model.
        arrays: Features (1, T, D) and mask (1, T) of a person.

    Returns:
        The contributions by name of the region; empty if the model uses no block with regions.
    """
    columns = _columns_by_block(model)
    if not columns:
        return {}
    return _by_region(model, arrays, np.concatenate([*columns.values()], axis=1))


def block_contributions(model: SequenceModel, arrays: Arrays) -> dict[str, dict[str, float]]:
    """Return what each region contributes to the log-odds of fake, by block.

    Args:
        model: The model.
        arrays: Features (1, T, D) and mask (1, T) of a person.

    Returns:
        The contributions by name of the block and of the region; empty if the model uses no block
        with regions.
    """
    columns = _columns_by_block(model)
    return {block: _by_region(model, arrays, columns[block]) for block in columns}


def _columns_by_block(model: SequenceModel) -> dict[str, _Columns]:
    """Return the columns of each region, (R, C), in each block that describes regions."""
    return {
        block: columns_of(model.blocks, [block]).reshape(len(REGIONS), -1)
        for block in BLOCKS
        if block in model.blocks
    }


def _by_region(model: SequenceModel, arrays: Arrays, columns: _Columns) -> dict[str, float]:
    """Return what each region contributes to the log-odds of fake through its columns, (R, C)."""
    values = np.mean(
        [_contributions(network, model, arrays, columns) for network in model.members], axis=0
    )
    return dict(zip(REGIONS, (model.calibration.slope * values).tolist(), strict=True))


def _contributions(
    network: Network, model: SequenceModel, arrays: Arrays, columns: _Columns
) -> npt.NDArray[np.float64]:
    """Return what each region contributes to the logit of one network, (R,).

    Args:
        network: The network.
        model: Its model.
        arrays: Features (1, T, D) and mask (1, T).
        columns: The columns of each region, (R, C).
    """
    features, mask = arrays
    versions = np.repeat(features, 1 + len(columns), axis=0)
    for region in range(len(columns)):
        reference = _reference(network, model, arrays, columns, region)
        versions[1 + region][:, columns[region]] = reference
    masks = np.repeat(mask, len(versions), axis=0)
    if isinstance(network, LinearPart):
        rest, terms = network.split_logits((versions, masks))
        by_column = terms[0].reshape(-1, features.shape[2]).sum(axis=0, dtype=np.float64)
        linear = by_column[columns].sum(axis=1)
    else:
        rest, linear = network.logits((versions, masks)), np.zeros(len(columns))
    return np.asarray(linear + rest[0] - rest[1:], dtype=np.float64)


def _reference(
    network: Network, model: SequenceModel, arrays: Arrays, columns: _Columns, region: int
) -> npt.NDArray[np.floating]:
    """Return what replaces a region: (C,) or, frame by frame, (T, C)."""
    features, _ = arrays
    width = features.shape[2]
    mean = network.tensors.get("preprocessor/mean")
    if mean is not None and model.config.inputs != "delta" and len(mean) >= width:
        return np.asarray(mean[:width][columns[region]])
    others = np.delete(columns, region, axis=0)
    return np.asarray(features[0][:, others].astype(np.float32).mean(axis=1))
