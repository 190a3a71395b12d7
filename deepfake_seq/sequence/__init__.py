"""Stage 2: sequence models, trained and evaluated on cached features only."""
