"""The sizes of the layers, which Keras builds and NumPy runs."""

DENSE_UNITS = 32
"""Of the dense layer after the recurrent ones, whose units are a setting."""

FRAME_UNITS = (256, 128, 64)
"""Of the layers that `dense` sends each frame through."""
