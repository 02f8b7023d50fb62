"""Clients without an event loop: for programs that end with one answer."""
