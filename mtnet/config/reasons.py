"""The reasons of msgspec why a value is no setting, in the words of people."""

import re

import msgspec

UNKNOWN = "Object contains unknown field "
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
    "decimal": "a number such as 0.5",
}
"""The types of msgspec's reasons."""
_KIND = re.compile("`([a-z |]+)`")
_SENTENCES = {
    "Invalid decimal string": "Expected a number such as 0.5",
    r"Expected `str` matching regex '^[A-Za-z0-9._-]{1,32}$'":
        "Expected 1 to 32 of A-Z a-z 0-9 . _ -, such as gold",
    r"Expected `str` matching regex '^https?://[^/?#@\\s]+$'":
        "Expected the origin of a page, such as https://desk.example.com",
}  # fmt: skip
"""Whole reasons of msgspec: the patterns of settings are written out in it."""


def explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """Split «reason - at `$.section.key`» of msgspec into an English reason and `section.key`."""
    reason, _, path = str(error).partition(" - at ")
    if not reason.startswith(UNKNOWN):
        reason = _SENTENCES.get(reason) or _KIND.sub(_in_english, reason)
    return reason, path.strip("`").removeprefix("$").removeprefix(".")


def _in_english(kind: re.Match[str]) -> str:
    names = kind[1].split(" | ")
    return " or ".join(_WORDS[name] for name in names) if set(names) <= set(_WORDS) else kind[0]
