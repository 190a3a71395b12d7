"""A GRU encoder-decoder that fills in hidden frames of a clip; the score is how badly it does.

It is trained on real clips alone. A clip whose frames are harder to fill in than those of other
real clips gets a high logit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from deepfake_seq.sequence.data.features import Arrays, Mask, Tensor
from deepfake_seq.sequence.data.preprocessing import valid_rows
from deepfake_seq.sequence.models.cells import Gradients, Gru, Weights
from deepfake_seq.sequence.models.layers import Dense, Layer, Recurrent

COMPONENTS = 256
"""Number of principal components of a frame."""

HIDDEN_OF = 4
"""One frame of this many is hidden."""

_UNITS = 64
_BATCH = 256
_NETWORK = "network/"

Shapes = dict[str, tuple[int, ...]]


def shapes(width: int) -> Shapes:
    """Return names and shapes of all tensors.

    Args:
        width: Width D of the features.
    """
    network: Shapes = {}
    cells = (("forward", COMPONENTS + 1), ("backward", COMPONENTS + 1), ("decoder", 2 * _UNITS))
    for name, inputs in cells:
        network[f"{name}/kernel"] = (inputs, 3 * _UNITS)
        network[f"{name}/recurrent_kernel"] = (_UNITS, 3 * _UNITS)
        network[f"{name}/bias"] = (2, 3 * _UNITS)
    network["output/kernel"] = (_UNITS, COMPONENTS)
    network["output/bias"] = (COMPONENTS,)
    return {
        "preprocessor/mean": (width,),
        "preprocessor/components": (width, COMPONENTS),
        "preprocessor/residual_mean": (1,),
        "preprocessor/residual_scale": (1,),
        **{f"{_NETWORK}{name}": shape for name, shape in network.items()},
    }


class FillIn:
    """The layers: a bidirectional GRU, a GRU, and a dense layer, without their weights."""

    def __init__(self) -> None:
        encoder = [Gru("forward", backwards=False), Gru("backward", backwards=True)]
        decoder = [Gru("decoder", backwards=False)]
        self._layers: list[Layer] = [
            Recurrent([*encoder], sequences=True),
            Recurrent([*decoder], sequences=True),
            Dense("output"),
        ]

    def forward(self, weights: Weights, frames: Tensor, mask: Mask, hidden: Mask) -> Tensor:
        """Return all frames as the network fills them in, (N, T, K).

        The network adds to the mean of the visible frames, which is a good guess already.

        Args:
            weights: Weights by name.
            frames: Components of each frame, float32 (N, T, K).
            mask: bool (N, T); True for a valid frame.
            hidden: bool (N, T); valid frames that the network must not see.
        """
        visible = (mask & ~hidden)[..., None].astype(np.float32)
        mean = (frames * visible).sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
        seen = (frames - mean[:, None]) * visible
        x = np.concatenate([seen, hidden[..., None].astype(np.float32)], axis=2)
        x = np.ascontiguousarray(x.transpose(1, 0, 2))
        valid = mask.T[..., None].astype(np.float32)
        for layer in self._layers:
            x = layer.forward(weights, x, valid, None)
        return np.asarray(x.transpose(1, 0, 2) + mean[:, None])

    def backward(self, weights: Weights, gradient: Tensor) -> Gradients:
        """Return the gradients of the weights, from that of the last `forward`'s output."""
        gradients: Gradients = {}
        x: Tensor | None = np.ascontiguousarray(gradient.transpose(1, 0, 2))
        for number, layer in reversed(list(enumerate(self._layers))):
            assert x is not None, "only the first layer's inputs need no gradient"
            x = layer.backward(weights, x, gradients, inputs=number > 0)
        return gradients


def project(arrays: Arrays, mean: Tensor, components: Tensor) -> Tensor:
    """Return the principal components of each frame, float32 (N, T, K); 0 in masked frames."""
    features, mask = arrays
    rows = valid_rows(features, mask)
    projected = np.zeros((*mask.shape, components.shape[1]), dtype=np.float32)
    projected[mask] = (rows[mask] - mean) @ components
    return projected


def residuals(weights: Weights, frames: Tensor, mask: Mask) -> npt.NDArray[np.float64]:
    """Return the mean squared error of each clip's frames when each is hidden once, (N,).

    Args:
        weights: Weights of the network, by name.
        frames: Components of each frame, float32 (N, T, K).
        mask: bool (N, T), the valid frames first.
    """
    model = FillIn()
    errors = np.zeros(len(mask))
    for first in range(HIDDEN_OF):
        hidden = mask & (np.arange(mask.shape[1]) % HIDDEN_OF == first)
        difference = (model.forward(weights, frames, mask, hidden) - frames) * hidden[..., None]
        errors += np.square(difference).sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(errors / mask.sum(axis=1) / frames.shape[2])


class AutoencoderNetwork:
    """A trained autoencoder; see `Network`.

    Args:
        tensors: Tensors by their names in `shapes`.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self._weights = {
            name.removeprefix(_NETWORK): tensor
            for name, tensor in tensors.items()
            if name.startswith(_NETWORK)
        }

    @property
    def parameters(self) -> dict[str, int]:
        """See `Network`."""
        count = sum(tensor.size for tensor in self._weights.values())
        return {"total": count, "trainable": count}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """See `Network`."""
        return dict(self._tensors)

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return the residual of each clip in deviations of held-out real clips, (N,)."""
        features, mask = arrays
        found = [np.zeros(0)]
        for start in range(0, len(mask), _BATCH):
            batch = slice(start, start + _BATCH)
            frames = project(
                (features[batch], mask[batch]),
                self._tensors["preprocessor/mean"],
                self._tensors["preprocessor/components"],
            )
            found.append(residuals(self._weights, frames, mask[batch]))
        mean, scale = (
            self._tensors["preprocessor/residual_mean"],
            self._tensors["preprocessor/residual_scale"],
        )
        return np.asarray((np.concatenate(found) - float(mean[0])) / float(scale[0]))
