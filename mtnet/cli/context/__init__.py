"""`mtnet context`."""
