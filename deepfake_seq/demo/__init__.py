"""The demonstration: the whole workflow on generated clips."""
