"""What clients do in a session, a file for each service."""
