"""`mtnet alerts` and `mtnet notify`."""
