"""The sizes of the layers, which Keras builds and NumPy runs."""

RECURRENT_UNITS = (64, 32, 16)
"""Of the recurrent layers of `gru` and `lstm`."""

DENSE_UNITS = 32
"""Of the dense layer after them."""

FRAME_UNITS = (256, 128, 64)
"""Of the layers that `dense` sends each frame through."""
