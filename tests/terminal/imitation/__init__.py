"""Terminals, a server and what lies between them, each a process that a test commands."""
