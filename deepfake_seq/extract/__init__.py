"""Stage 1: extract a (T, D) tensor of features, with a mask of valid frames, from each video."""
