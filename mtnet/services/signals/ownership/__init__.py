"""Ownership of channels and symbols: publishers, claims, pauses and reductions."""
