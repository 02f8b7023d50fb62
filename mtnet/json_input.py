"""
JSON from clients, with numbers as they were meant.

Pure. A number is its text: prices and volumes keep their digits, and no float comes between.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from math import isinf
from typing import Any

MAX_EXACT = 2**53
"""Whole numbers below it are what was meant: from here on a browser rounds them."""
DIGITS = len(str(MAX_EXACT))
"""Its digits: numbers of fewer are exact."""


def decode(text: str, objects: Callable[[Any], Any], refused: Callable[[str], Any]) -> Any:
    """
    Read JSON; each number is its shortest text, without an exponent: volumes have none.

    Args:
        objects: makes an object of a list of its (key, value) pairs, doubled ones too.
        refused: makes something of the text of a number that is infinite, no number at all, or a
            whole one that is not exact; or raises.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """

    # Not msgspec: of a doubled key it takes the last value and says nothing.
    def read_int(text: str) -> Any:
        if len(text) < DIGITS or (len(text) <= DIGITS + 1 and abs(int(text)) < MAX_EXACT):
            return text
        return refused(text)

    def read_float(text: str) -> Any:
        number = float(text)
        if isinf(number):
            return refused(text)
        return f"{Decimal(repr(number)):f}".removesuffix(".0")

    return json.loads(
        text,
        parse_int=read_int,
        parse_float=read_float,
        parse_constant=refused,
        object_pairs_hook=objects,
    )
