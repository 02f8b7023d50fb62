"""Sentiment: what clients hold, as sums."""
