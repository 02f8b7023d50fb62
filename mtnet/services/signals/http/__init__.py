"""Signals by HTTP: followers by long poll, publishers by POST and PUT, people by both."""
