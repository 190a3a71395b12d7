"""Train networks, ensembles and baselines."""
