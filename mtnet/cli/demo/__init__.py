"""`mtnet demo`."""
