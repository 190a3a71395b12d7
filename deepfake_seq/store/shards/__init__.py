"""Shards: how records are stored in HDF5 files, and what a reader refuses."""
