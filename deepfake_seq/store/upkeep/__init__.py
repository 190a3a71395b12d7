"""Verify, repair and merge stores."""
