"""
Deadlines: moments at which something is due, or None.

Pure.
"""


def earliest(*deadlines: float | None) -> float | None:
    """Return the first of some deadlines; None = nothing is due."""
    return min((each for each in deadlines if each is not None), default=None)
