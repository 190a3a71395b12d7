"""Stage 2: sequence models trained and judged from the feature cache alone."""
