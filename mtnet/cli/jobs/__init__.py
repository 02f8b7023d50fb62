"""`mtnet jobs`."""
