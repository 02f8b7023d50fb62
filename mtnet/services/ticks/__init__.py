"""Ticks: taken from many terminals, kept complete, and given out again."""
