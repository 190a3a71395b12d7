"""Verifying, repairing and merging stores."""
