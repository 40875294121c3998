"""Domain events for Python."""
