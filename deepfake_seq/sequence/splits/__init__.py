"""Split clips into training, validation and test, and check that nothing leaks."""
