"""Sizes of the layers, shared by the Keras and the NumPy models."""

DENSE_UNITS = 32
"""Units of the dense layer after the recurrent layers."""

FRAME_UNITS = (256, 128, 64)
"""Units of the layers that the model `dense` applies to each frame."""
