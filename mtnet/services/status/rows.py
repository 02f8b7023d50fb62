"""
Rows by key: what has changed of them, and what is for admins alone.

Pure: JSON values in, JSON values out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = dict[str, Any]
"""The state of a part: a JSON value for each key."""
Change = dict[str, Any]
"""`set`, rows by key, and `removed`, a list of keys; each only where there are any."""

PRIVATE = frozenset(
    {
        *("account", "address", "network", "networks", "peer", "what"),
        *("balance", "equity", "free", "margin", "public"),
    }
)
"""Keys that admins alone are shown, wherever they stand."""
_ABSENT = object()
_PRIVATE_WORD = re.compile(r" (?:peer|network|what)=\S+")
"""Words of a line of the security log that admins alone are shown."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """
    Return what makes `after` of `before`, see `apply`; empty = nothing has changed.

    A row that is the same object in both is not looked into.
    """
    if before is after:
        return {}
    fresh = {
        key: row
        for key, row in after.items()
        if (old := before.get(key, _ABSENT)) is not row and old != row
    }
    return change(fresh, [key for key in before if key not in after])


def change(fresh: Rows, gone: Sequence[str] = ()) -> Change:
    """Return the change that sets some rows, and removes others."""
    found: Change = {"set": fresh} if fresh else {}
    return {**found, "removed": gone} if gone else found


def apply(rows: Mapping[str, Any], change: Mapping[str, Any]) -> Rows:
    """Return rows with a change made to them."""
    gone = frozenset(change.get("removed", ()))
    kept = {key: row for key, row in rows.items() if key not in gone}
    return {**kept, **change.get("set", {})}


def joined(found: Iterable[Change]) -> Change:
    """Return the changes of several sections as one."""
    every = [each for each in found if each]
    fresh = {key: row for each in every for key, row in each.get("set", {}).items()}
    return change(fresh, [key for each in every for key in each.get("removed", ())])


def by_key(rows: Iterable[Mapping[str, Any]], *names: str) -> Rows:
    """Return rows by the values of some of their fields; a second of one key ends in `#2`."""
    found = list(rows)
    return dict(zip(keys([row.get(name) for name in names] for row in found), found, strict=True))


def keys(names: Iterable[Iterable[object]]) -> list[str]:
    """Return a key for each name, which is of several words; a second of one ends in `#2`."""
    found: dict[str, None] = {}
    for words in names:
        key = first = "/".join(str(word) for word in words if word)
        number = 1
        while key in found:
            number += 1
            key = f"{first}#{number}"
        found[key] = None
    return [*found]


def public(value: Any) -> Any:
    """Return a JSON value without what is for admins alone."""
    if isinstance(value, Mapping):
        hidden = PRIVATE | {"subject"} if "public" in value else PRIVATE
        kept = {key: public(each) for key, each in value.items() if key not in hidden}
        return {**kept, "text": value["public"]} if "public" in value else kept
    if isinstance(value, list):
        return [public(each) for each in value]
    return _PRIVATE_WORD.sub("", value) if isinstance(value, str) else value
