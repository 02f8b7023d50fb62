"""`mtnet sentiment`."""
