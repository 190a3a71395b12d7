"""Stage 1: a video becomes a masked (T, D) tensor. Frames, faces, crops, frozen CNN."""
