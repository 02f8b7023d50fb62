"""
Numbers of programs as text.

Pure.
"""

from decimal import Decimal

Number = Decimal | str | float | int
"""Lots, a price or money; a float stands for its shortest text, and may have the noise of sums."""


def plain_text(number: Number) -> str:
    """Return a number with all its digits and without an exponent; a text stays as it is."""
    if isinstance(number, str):
        return number
    return f"{number if isinstance(number, Decimal) else Decimal(repr(number)):f}"
