"""Stored data of one video: record, metadata and fingerprint."""
