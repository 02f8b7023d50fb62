"""Lengths of time."""

DAY = 86_400.0
"""Seconds."""
DAY_MS = 86_400_000
"""Milliseconds."""
