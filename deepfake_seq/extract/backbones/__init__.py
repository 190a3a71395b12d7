"""The frozen CNNs: their table, weights and runtimes, which agree within a tested tolerance."""
