"""
Rows by key: what is shown of a part, what has changed of it, and what is for admins alone.

Pure: JSON values in, JSON values out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Rows = dict[str, Any]
"""The state of a part: a JSON value for each key."""

PRIVATE = frozenset(
    {
        *("account", "address", "network", "networks", "peer", "what"),
        *("balance", "equity", "free", "margin", "public"),
    }
)
"""Keys that admins alone are shown, wherever they stand."""
_PRIVATE_WORD = re.compile(r" (?:peer|network|what)=\S+")
"""Words of a line of the security log that admins alone are shown."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what makes `after` of `before`, see `apply`; empty = nothing has changed.

    Returns:
        `set`, rows by key, and `removed`, a list of keys; each only where there are any.
    """
    fresh = {key: row for key, row in after.items() if key not in before or before[key] != row}
    gone = [key for key in before if key not in after]
    found: dict[str, Any] = {"set": fresh} if fresh else {}
    return {**found, "removed": gone} if gone else found


def apply(rows: Mapping[str, Any], change: Mapping[str, Any]) -> Rows:
    """Return rows with a change made to them."""
    gone = frozenset(change.get("removed", ()))
    kept = {key: row for key, row in rows.items() if key not in gone}
    return {**kept, **change.get("set", {})}


def by_key(rows: Iterable[Mapping[str, Any]], *names: str) -> Rows:
    """Return rows by the values of some of their fields; a second of one key ends in `#2`."""
    found: Rows = {}
    for row in rows:
        key = first = "/".join(str(row[name]) for name in names if row.get(name))
        count = 1
        while key in found:
            count += 1
            key = f"{first}#{count}"
        found[key] = row
    return found


def details(name: str, status: Mapping[str, Any]) -> Rows:
    """
    Return the status of a component as rows.

    A mapping of mappings, such as that of channels, is a row for each: `NAME/channels/gold`. Lists
    of mappings, such as that of sessions, are left out: they change all the time.
    """
    rows: Rows = {}
    own: dict[str, Any] = {}
    for key, value in status.items():
        if isinstance(value, Mapping) and value and all(map(_is_row, value.values())):
            rows |= {f"{name}/{key}/{inner}": row for inner, row in value.items()}
        elif not (isinstance(value, list) and any(map(_is_row, value))):
            own[key] = value
    return {name: own, **rows}


def public(value: Any) -> Any:
    """Return a JSON value without what is for admins alone."""
    if isinstance(value, Mapping):
        hidden = PRIVATE | {"subject"} if "public" in value else PRIVATE
        kept = {key: public(each) for key, each in value.items() if key not in hidden}
        return {**kept, "text": value["public"]} if "public" in value else kept
    if isinstance(value, list):
        return [public(each) for each in value]
    return _PRIVATE_WORD.sub("", value) if isinstance(value, str) else value


def _is_row(value: object) -> bool:
    return isinstance(value, Mapping)
