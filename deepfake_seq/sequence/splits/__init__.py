"""Training, validation and test clips, and the checks that nothing leaks between them."""
