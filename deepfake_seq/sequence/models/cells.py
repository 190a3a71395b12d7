"""The recurrent cells in NumPy, forwards and backwards through time.

Equations are those of Keras's `GRU(reset_after=True)` (Cho et al., 2014) and `LSTM` (Hochreiter and
Schmidhuber, 1997). The inputs of all frames are multiplied at once, and so are the gradients of the
weights; only what depends on the frame before goes frame by frame. Arrays have the frames first, so
that each frame's is one piece of memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepfake_seq.sequence.data.features import Tensor

Weights = Mapping[str, Tensor]
Gradients = dict[str, Tensor]


class Cell:
    """A recurrent layer that reads in one direction.

    Args:
        name: Its weights are `NAME/kernel`, `NAME/recurrent_kernel` and `NAME/bias`.
        backwards: Whether it reads the last frame first.
    """

    def __init__(self, name: str, *, backwards: bool) -> None:
        self._name = name
        self._backwards = backwards

    def forward(self, weights: Weights, x: Tensor, valid: Tensor) -> Tensor:
        """The output after every frame, (T, N, U); a masked frame leaves it as it was.

        Args:
            weights: Of the model.
            x: float32 (T, N, W).
            valid: float32 (T, N, 1); 1 where a frame is valid, else 0.
        """
        raise NotImplementedError

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """The gradient of the inputs of the last `forward`, (T, N, W); None unless asked for.

        Args:
            weights: The same as then.
            gradient: Of its outputs, (T, N, U).
            gradients: Where to put those of the weights.
            inputs: Whether that of the inputs is wanted.
        """
        raise NotImplementedError

    def _own(self, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
        names = ("kernel", "recurrent_kernel", "bias")
        kernel, recurrent, bias = (weights[f"{self._name}/{name}"] for name in names)
        return kernel, recurrent, bias

    def _order(self, frames: int) -> range:
        return range(frames - 1, -1, -1) if self._backwards else range(frames)

    def _before(self, states: Tensor) -> Tensor:
        """The state before each frame, as a view of `states`, which hold one more than frames."""
        return states[1:] if self._backwards else states[:-1]

    def _after(self, states: Tensor) -> Tensor:
        return states[:-1] if self._backwards else states[1:]

    def _learn(
        self, gradients: Gradients, x: Tensor, before: Tensor, outer: Tensor, inner: Tensor
    ) -> None:
        """The gradients of both kernels, from those of their products with all frames."""
        gradients[f"{self._name}/kernel"] = _flat(x).T @ _flat(outer)
        gradients[f"{self._name}/recurrent_kernel"] = _flat(before).T @ _flat(inner)


class Gru(Cell):
    """`GRU(reset_after=True)`."""

    def forward(self, weights: Weights, x: Tensor, valid: Tensor) -> Tensor:
        """See `Cell`."""
        kernel, recurrent, bias = self._own(weights)
        frames, clips, units = *x.shape[:2], len(recurrent)
        inputs = _times(x, kernel)
        inputs += bias[0]
        states = np.zeros((frames + 1, clips, units), dtype=np.float32)
        before, after = self._before(states), self._after(states)
        gates = np.empty((frames, clips, 2 * units), dtype=np.float32)  # update, reset
        inner = np.empty((frames, clips, units), dtype=np.float32)
        candidates = np.empty_like(inner)
        for frame in self._order(frames):
            state, own, gate, candidate = (
                array[frame] for array in (before, inputs, gates, candidates)
            )
            products = state @ recurrent
            products += bias[1]
            np.add(own[:, : 2 * units], products[:, : 2 * units], out=gate)
            _sigmoid_in_place(gate)
            inner[frame] = products[:, 2 * units :]
            np.multiply(gate[:, units:], inner[frame], out=candidate)
            candidate += own[:, 2 * units :]
            np.tanh(candidate, out=candidate)
            # new = update · state + (1 - update) · candidate, where the frame is valid
            change = candidate - state
            change *= 1 - gate[:, :units]
            change *= valid[frame]
            np.add(state, change, out=after[frame])
        self._kept = x, valid, before, gates, inner, candidates
        return after

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Cell`."""
        x, valid, before, gates, inner, candidates = self._kept
        kernel, recurrent, _ = self._own(weights)
        units = len(recurrent)
        outer = np.empty((*x.shape[:2], 3 * units), dtype=np.float32)
        products = np.empty_like(outer)
        turned = np.ascontiguousarray(recurrent.T)
        later = np.zeros(before.shape[1:], dtype=np.float32)
        for frame in reversed(self._order(len(x))):
            update, reset = gates[frame, :, :units], gates[frame, :, units:]
            state, candidate = before[frame], candidates[frame]
            later += gradient[frame]
            new = later * valid[frame]
            later -= new
            of_candidate = new * (1 - update)
            of_candidate *= 1 - candidate * candidate
            own, product = outer[frame], products[frame]
            own[:, 2 * units :] = of_candidate
            np.multiply(of_candidate, reset, out=product[:, 2 * units :])
            np.multiply(new, state - candidate, out=own[:, :units])
            np.multiply(of_candidate, inner[frame], out=own[:, units : 2 * units])
            own[:, : 2 * units] *= gates[frame] * (1 - gates[frame])
            product[:, : 2 * units] = own[:, : 2 * units]
            new *= update
            later += new
            later += product @ turned
        self._learn(gradients, x, before, outer, products)
        bias = np.stack([outer.sum(axis=(0, 1)), products.sum(axis=(0, 1))])
        gradients[f"{self._name}/bias"] = bias
        return _times(outer, kernel.T) if inputs else None


class Lstm(Cell):
    """`LSTM`, its gates in Keras's order: input, forget, candidate, output."""

    def forward(self, weights: Weights, x: Tensor, valid: Tensor) -> Tensor:
        """See `Cell`."""
        kernel, recurrent, bias = self._own(weights)
        frames, clips, units = *x.shape[:2], len(recurrent)
        inputs = _times(x, kernel)
        inputs += bias
        states = np.zeros((frames + 1, clips, units), dtype=np.float32)
        memories = np.zeros_like(states)
        before, after = self._before(states), self._after(states)
        known, kept = self._before(memories), self._after(memories)
        gates = inputs  # overwritten frame by frame
        shapes = np.empty((frames, clips, units), dtype=np.float32)
        for frame in self._order(frames):
            gate = gates[frame]
            gate += before[frame] @ recurrent
            _sigmoid_in_place(gate[:, : 2 * units])
            np.tanh(gate[:, 2 * units : 3 * units], out=gate[:, 2 * units : 3 * units])
            _sigmoid_in_place(gate[:, 3 * units :])
            let_in, forget, candidate, out = np.split(gate, 4, axis=1)
            memory = forget * known[frame] + let_in * candidate
            shape = np.tanh(memory, out=shapes[frame])
            held = valid[frame]
            after[frame] = held * (out * shape) + (1 - held) * before[frame]
            kept[frame] = held * memory + (1 - held) * known[frame]
        self._kept = x, valid, before, known, gates, shapes
        return after

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Cell`."""
        x, valid, before, known, gates, shapes = self._kept
        kernel, recurrent, _ = self._own(weights)
        outer = np.empty_like(gates)
        turned = np.ascontiguousarray(recurrent.T)
        later = np.zeros(before.shape[1:], dtype=np.float32)
        of_memory = np.zeros_like(later)
        for frame in reversed(self._order(len(x))):
            let_in, forget, candidate, out = np.split(gates[frame], 4, axis=1)
            shape, held = shapes[frame], valid[frame]
            later += gradient[frame]
            new = later * held
            later -= new
            memory = of_memory * held
            of_memory -= memory
            memory += new * out * (1 - shape * shape)
            own = np.split(outer[frame], 4, axis=1)
            own[0][:] = memory * candidate * let_in * (1 - let_in)
            own[1][:] = memory * known[frame] * forget * (1 - forget)
            own[2][:] = memory * let_in * (1 - candidate * candidate)
            own[3][:] = new * shape * out * (1 - out)
            of_memory += memory * forget
            later += outer[frame] @ turned
        self._learn(gradients, x, before, outer, outer)
        gradients[f"{self._name}/bias"] = outer.sum(axis=(0, 1))
        return _times(outer, kernel.T) if inputs else None


CELLS: dict[str, type[Cell]] = {"gru": Gru, "lstm": Lstm}


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), by tanh, which does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float32)


def _sigmoid_in_place(x: Tensor) -> None:
    x *= 0.5
    np.tanh(x, out=x)
    x += 1
    x *= 0.5


def _flat(x: Tensor) -> Tensor:
    """All frames of all clips as rows."""
    return x.reshape(-1, x.shape[2])


def _times(x: Tensor, kernel: Tensor) -> Tensor:
    """(T, N, W) times (W, U), as one product."""
    return np.asarray((_flat(x) @ kernel).reshape(*x.shape[:2], kernel.shape[1]))
