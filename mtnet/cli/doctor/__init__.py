"""`mtnet doctor`: diagnosis of the way from a terminal to a server."""
