"""Status: what happened, and how everything is, for people."""
