"""Messages between clients, by topic."""
