"""Face crops to records: from videos, from cached faces, and augmented views of both."""
