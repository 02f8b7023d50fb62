"""`mtnet doctor`: what keeps a terminal from a server."""
