"""Clips and their features, in memory or streamed from a store."""
