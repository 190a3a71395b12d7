"""Run directories: writing, loading and comparing them."""
