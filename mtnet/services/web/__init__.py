"""The web service: HTTP, its resources and its credentials."""
