"""What is stored of one video: its record, metadata and fingerprint."""
