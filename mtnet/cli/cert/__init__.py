"""`mtnet cert`."""
