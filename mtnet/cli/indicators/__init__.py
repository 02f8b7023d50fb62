"""`mtnet indicators`."""
