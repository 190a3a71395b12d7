"""Training of networks, ensembles and baselines."""
