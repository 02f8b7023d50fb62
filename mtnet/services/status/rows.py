"""
Rows by key: what is shown of a part, what has changed of it, and what is for admins alone.

Pure: JSON values in, JSON values out.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

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
TURN = 50
"""Participants whose judgement is the same that are told in one change, those that have waited
longest first: with a thousand that get on, each of them is told every 20 s."""
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
    return _change(fresh, [key for key in before if key not in after])


def apply(rows: Mapping[str, Any], change: Mapping[str, Any]) -> Rows:
    """Return rows with a change made to them."""
    gone = frozenset(change.get("removed", ()))
    kept = {key: row for key, row in rows.items() if key not in gone}
    return {**kept, **change.get("set", {})}


def joined(found: Iterable[Change]) -> Change:
    """Return the changes of several sections as one."""
    every = [each for each in found if each]
    fresh = {key: row for each in every for key, row in each.get("set", {}).items()}
    return _change(fresh, [key for each in every for key in each.get("removed", ())])


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


class Section(Protocol):
    """Rows that are watched; `rows` are those of the last `refresh`."""

    rows: Rows

    def refresh(self) -> Change:
        """Read the rows, and return what has changed, see `changes`."""


class Snapshot:
    """Section that is read as a whole, and compared with what was there before."""

    def __init__(self, read: Callable[[], Rows]) -> None:
        self._read, self.rows = read, Rows()

    def refresh(self) -> Change:
        """Read all rows, and compare them."""
        before, self.rows = self.rows, self._read()
        return changes(before, self.rows)


class Participant(Protocol):
    """Somebody who takes part, see `mtnet.interfaces.IParticipants`."""

    @property
    def name(self) -> Sequence[str]: ...
    @property
    def judgement(self) -> object: ...
    def row(self) -> Mapping[str, Any]: ...


class Participants:
    """
    Section of the participants of one component, by service, role, channel and who.

    A row is made of those alone that are told. With another judgement a participant is told at
    once; those that are other objects and judged as before take turns, `TURN` at a time.

    Args:
        read: returns the participants, see `mtnet.interfaces.IParticipants`.
    """

    def __init__(self, service: str, read: Callable[[], Sequence[Participant]]) -> None:
        self._service, self._read, self.rows = service, read, Rows()
        self._names: list[Sequence[str]] = []
        self._keys: list[str] = []
        self._found: dict[str, Participant] = {}
        self._waiting: dict[str, None] = {}

    def refresh(self) -> Change:
        """Read the participants, and make the rows that are told now."""
        before, found = self._found, self._read()
        names = [each.name for each in found]
        if names != self._names:
            own = f"participant/{self._service}"
            self._names, self._keys = names, keys((own, *each) for each in names)
        after = self._found = dict(zip(self._keys, found, strict=True))
        gone = [key for key in before if key not in after]
        for key in gone:
            self._waiting.pop(key, None)
            del self.rows[key]
        rows = {key: {"service": self._service, **after[key].row()} for key in self._due(before)}
        fresh = {key: row for key, row in rows.items() if self.rows.get(key) != row}
        self.rows |= fresh
        return _change(fresh, gone)

    def _due(self, before: Mapping[str, Participant]) -> list[str]:
        """Return the keys of those that are told now; the others wait for their turn."""
        after, waiting = self._found, self._waiting
        fresh = [key for key, each in after.items() if before.get(key) is not each]
        urgent = [
            key
            for key in fresh
            if key not in before or before[key].judgement is not after[key].judgement
        ]
        waiting |= dict.fromkeys(fresh)
        for key in urgent:
            del waiting[key]
        turn = [*islice(waiting, TURN)]
        for key in turn:
            del waiting[key]
        return urgent + turn


class PublicSection:
    """Section without what is for admins alone; only rows that have changed are cut."""

    def __init__(self, section: Section) -> None:
        self._section, self.rows = section, Rows()

    def refresh(self) -> Change:
        """Refresh the whole section, and cut what has changed."""
        change = self._section.refresh()
        shown = {key: public(row) for key, row in change.get("set", {}).items()}
        fresh = {key: row for key, row in shown.items() if self.rows.get(key, _ABSENT) != row}
        self.rows |= fresh
        gone = change.get("removed", ())
        for key in gone:
            del self.rows[key]
        return _change(fresh, gone)


def details(name: str, status: Mapping[str, Any]) -> Rows:
    """
    Return the status of a component, JSON values, as rows.

    A mapping of mappings, such as that of channels, is a row for each: `NAME/channels/gold`. Lists
    of mappings, such as that of sessions, are left out: they change all the time.
    """
    rows: Rows = {}
    own: dict[str, Any] = {}
    for key, value in status.items():
        if isinstance(value, dict) and value and all(map(_is_row, value.values())):
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


def _change(fresh: Rows, gone: Sequence[str] = ()) -> Change:
    found: Change = {"set": fresh} if fresh else {}
    return {**found, "removed": gone} if gone else found


def _is_row(value: object) -> bool:
    return isinstance(value, dict)
