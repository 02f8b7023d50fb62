"""`mtnet topics`."""
