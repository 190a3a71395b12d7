"""How records are stored in files, and what a reader refuses."""
