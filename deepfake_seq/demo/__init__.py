"""The demonstration: the whole main job on clips made on the spot."""
