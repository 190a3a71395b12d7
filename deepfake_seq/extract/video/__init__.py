"""Videos to sampled frames, decoded in isolated processes."""
