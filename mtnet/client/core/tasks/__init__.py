"""Tasks of clients in a session, a file for each service."""
