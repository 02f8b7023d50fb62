"""`mtnet ticks`."""
