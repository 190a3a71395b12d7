"""Recurrent cells in NumPy: forward pass and backpropagation through time.

The equations are those of Keras's `GRU(reset_after=True)` (Cho et al., 2014) and `LSTM` (Hochreiter
and Schmidhuber, 1997). Input products and weight gradients are computed for all frames at once;
only the recurrence runs frame by frame. The frame is the first axis of every array, so that each
frame is contiguous in memory.
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
        name: Prefix of its weights `NAME/kernel`, `NAME/recurrent_kernel` and `NAME/bias`.
        backwards: Whether it reads the frames from last to first.
    """

    def __init__(self, name: str, *, backwards: bool) -> None:
        self._name = name
        self._backwards = backwards

    def forward(self, weights: Weights, x: Tensor, valid: Tensor) -> Tensor:
        """Return the output after each frame, (T, N, U); a masked frame does not change it.

        Args:
            weights: Weights of the model, by name.
            x: float32 (T, N, W).
            valid: float32 (T, N, 1); 1 for a valid frame, else 0.
        """
        raise NotImplementedError

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """Return the gradient of the inputs of the last `forward`, (T, N, W).

        Args:
            weights: The weights of that call.
            gradient: Gradient of the outputs, (T, N, U).
            gradients: Gradients of the weights by name; updated.
            inputs: Whether to compute the gradient of the inputs; otherwise return None.
        """
        raise NotImplementedError

    def _weights_of(self, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
        names = ("kernel", "recurrent_kernel", "bias")
        kernel, recurrent, bias = (weights[f"{self._name}/{name}"] for name in names)
        return kernel, recurrent, bias

    def _order(self, frames: int) -> range:
        return range(frames - 1, -1, -1) if self._backwards else range(frames)

    def _before(self, states: Tensor) -> Tensor:
        """Return the state before each frame as a view of `states`, (T + 1, N, U)."""
        return states[1:] if self._backwards else states[:-1]

    def _after(self, states: Tensor) -> Tensor:
        """Return the state after each frame as a view of `states`, (T + 1, N, U)."""
        return states[:-1] if self._backwards else states[1:]

    def _kernel_gradients(
        self, gradients: Gradients, x: Tensor, before: Tensor, outer: Tensor, inner: Tensor
    ) -> None:
        """Add the gradients of both kernels, from those of their products with all frames."""
        if x.flags.c_contiguous:
            gradients[f"{self._name}/kernel"] = _flat(x).T @ _flat(outer)
        else:
            gradients[f"{self._name}/kernel"] = _by_clip(x).T @ _by_clip(outer)
        gradients[f"{self._name}/recurrent_kernel"] = _flat(before).T @ _flat(inner)


class Gru(Cell):
    """Keras's `GRU(reset_after=True)`."""

    def forward(self, weights: Weights, x: Tensor, valid: Tensor) -> Tensor:
        """See `Cell`."""
        kernel, recurrent, bias = self._weights_of(weights)
        frames, clips, units = *x.shape[:2], len(recurrent)
        inputs = _times(x, kernel)
        inputs += bias[0]
        inputs[..., : 2 * units] += bias[1, : 2 * units]
        # The update gate of a masked frame is exactly 1: the frame does not change the state.
        inputs[..., :units][valid[..., 0] == 0] = _SATURATED
        states = np.zeros((frames + 1, clips, units), dtype=np.float32)
        before, after = self._before(states), self._after(states)
        gates = np.empty((frames, clips, 2 * units), dtype=np.float32)  # update, reset
        inner = np.empty((frames, clips, units), dtype=np.float32)
        candidates = np.empty_like(inner)
        products = np.empty((clips, 3 * units), dtype=np.float32)
        of_gates, of_inner = products[:, : 2 * units], products[:, 2 * units :]
        for frame in self._order(frames):
            state, gate, candidate = before[frame], gates[frame], candidates[frame]
            np.matmul(state, recurrent, out=products)
            np.add(inputs[frame, :, : 2 * units], of_gates, out=gate)
            _sigmoid_in_place(gate)
            of_frame = np.add(of_inner, bias[1, 2 * units :], out=inner[frame])
            np.multiply(gate[:, units:], of_frame, out=candidate)
            candidate += inputs[frame, :, 2 * units :]
            np.tanh(candidate, out=candidate)
            # new = update · state + (1 - update) · candidate
            new = np.subtract(1, gate[:, :units], out=after[frame])
            new *= candidate - state
            new += state
        self._saved = x, before, gates, inner, candidates
        return after

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Cell`."""
        x, before, gates, inner, candidates = self._saved
        kernel, recurrent, _ = self._weights_of(weights)
        units = len(recurrent)
        update, reset = gates[..., :units], gates[..., units:]
        # The gradients of the products, divided by that of the new state.
        by_candidate = (1 - update) * (1 - candidates * candidates)
        factors = np.empty((*x.shape[:2], 3, units), dtype=np.float32)
        np.multiply(before - candidates, update * (1 - update), out=factors[:, :, 0])
        np.multiply(by_candidate, inner * reset * (1 - reset), out=factors[:, :, 1])
        np.multiply(by_candidate, reset, out=factors[:, :, 2])
        products = np.empty_like(factors)
        by_states = np.empty_like(candidates)
        transposed = np.ascontiguousarray(recurrent.T)
        by_state = np.zeros(before.shape[1:], dtype=np.float32)
        for frame in reversed(self._order(len(x))):
            by_new, product = by_states[frame], products[frame]
            np.add(by_state, gradient[frame], out=by_new)
            np.multiply(by_new[:, None], factors[frame], out=product)
            np.multiply(by_new, update[frame], out=by_state)
            by_state += product.reshape(-1, 3 * units) @ transposed
        outer = products.copy()
        np.multiply(by_states, by_candidate, out=outer[:, :, 2])
        outer, products = (array.reshape(*x.shape[:2], -1) for array in (outer, products))
        self._kernel_gradients(gradients, x, before, outer, products)
        bias = np.stack([outer.sum(axis=(0, 1)), products.sum(axis=(0, 1))])
        gradients[f"{self._name}/bias"] = bias
        return _times(outer, kernel.T) if inputs else None


class Lstm(Cell):
    """Keras's `LSTM`, with the gates in its order: input, forget, candidate, output."""

    def forward(self, weights: Weights, x: Tensor, valid: Tensor) -> Tensor:
        """See `Cell`."""
        kernel, recurrent, bias = self._weights_of(weights)
        frames, clips, units = *x.shape[:2], len(recurrent)
        inputs = _times(x, kernel)
        inputs += bias
        states = np.zeros((frames + 1, clips, units), dtype=np.float32)
        memories = np.zeros_like(states)
        before, after = self._before(states), self._after(states)
        memory_before, memory_after = self._before(memories), self._after(memories)
        gates = inputs  # overwritten frame by frame
        squashed_memories = np.empty((frames, clips, units), dtype=np.float32)
        for frame in self._order(frames):
            gate = gates[frame]
            gate += before[frame] @ recurrent
            _sigmoid_in_place(gate[:, : 2 * units])
            np.tanh(gate[:, 2 * units : 3 * units], out=gate[:, 2 * units : 3 * units])
            _sigmoid_in_place(gate[:, 3 * units :])
            let_in, forget, candidate, out = np.split(gate, 4, axis=1)
            memory = forget * memory_before[frame] + let_in * candidate
            squashed = np.tanh(memory, out=squashed_memories[frame])
            valid_frame = valid[frame]
            after[frame] = valid_frame * (out * squashed) + (1 - valid_frame) * before[frame]
            memory_after[frame] = valid_frame * memory + (1 - valid_frame) * memory_before[frame]
        self._saved = x, valid, before, memory_before, gates, squashed_memories
        return after

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Cell`."""
        x, valid, before, memory_before, gates, squashed_memories = self._saved
        kernel, recurrent, _ = self._weights_of(weights)
        outer = np.empty_like(gates)
        transposed = np.ascontiguousarray(recurrent.T)
        by_state = np.zeros(before.shape[1:], dtype=np.float32)
        by_later_memory = np.zeros_like(by_state)
        for frame in reversed(self._order(len(x))):
            let_in, forget, candidate, out = np.split(gates[frame], 4, axis=1)
            squashed, valid_frame = squashed_memories[frame], valid[frame]
            by_state += gradient[frame]
            by_new = by_state * valid_frame
            by_state -= by_new
            by_memory = by_later_memory * valid_frame
            by_later_memory -= by_memory
            by_memory += by_new * out * (1 - squashed * squashed)
            by_gates = np.split(outer[frame], 4, axis=1)
            by_gates[0][:] = by_memory * candidate * let_in * (1 - let_in)
            by_gates[1][:] = by_memory * memory_before[frame] * forget * (1 - forget)
            by_gates[2][:] = by_memory * let_in * (1 - candidate * candidate)
            by_gates[3][:] = by_new * squashed * out * (1 - out)
            by_later_memory += by_memory * forget
            by_state += outer[frame] @ transposed
        self._kernel_gradients(gradients, x, before, outer, outer)
        gradients[f"{self._name}/bias"] = outer.sum(axis=(0, 1))
        return _times(outer, kernel.T) if inputs else None


_SATURATED = np.float32(1e30)
"""Input of a gate whose output is then exactly 1, whatever the state adds to it."""

CELLS: dict[str, type[Cell]] = {"gru": Gru, "lstm": Lstm}


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)), computed with tanh, which does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float32)


def _sigmoid_in_place(x: Tensor) -> None:
    x *= 0.5
    np.tanh(x, out=x)
    x += 1
    x *= 0.5


def _flat(x: Tensor) -> Tensor:
    """Return all frames of all clips as rows."""
    return x.reshape(-1, x.shape[2])


def _by_clip(x: Tensor) -> Tensor:
    """Return the same rows ordered by clip; no copy if x is a view of an array (N, T, W)."""
    return _flat(x.transpose(1, 0, 2))


def _times(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the product of (T, N, W) and (W, U) as one matrix product."""
    frames, clips, units = *x.shape[:2], kernel.shape[1]
    if x.flags.c_contiguous:
        return np.asarray((_flat(x) @ kernel).reshape(frames, clips, units))
    product = (_by_clip(x) @ kernel).reshape(clips, frames, units)
    return np.ascontiguousarray(product.transpose(1, 0, 2))
