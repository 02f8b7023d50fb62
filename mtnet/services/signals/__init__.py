"""Signals: net positions taken from publishers and told to followers."""
