"""
Rows by key: what is shown of a part, what has changed of it, and what is for admins alone.

Pure: JSON values in, JSON values out.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress, count, islice
from operator import is_not
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
PROGRESS = frozenset({"sent", "behind", "behind_since", "last_ack", "latency", "held"})
"""Keys of a participant that change with each signal while all is well."""
PROGRESS_ROWS = 100
"""Participants with nothing but progress that are told in one change, those that have waited
longest first: a screen shows no more, and with a thousand each of them is told every 10 s."""
_ABSENT = object()
_NO_PROGRESS = dict.fromkeys(PROGRESS)
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
    found: Rows = {}
    for row in rows:
        key = first = "/".join(str(row[name]) for name in names if row.get(name))
        number = 1
        while key in found:
            number += 1
            key = f"{first}#{number}"
        found[key] = row
    return found


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


class Participants:
    """
    Section of the participants of one component, by service, role, channel and who.

    Keys are made anew when somebody came or went, else only the rows that are other objects than
    before are looked into. Those with nothing but progress take turns, `PROGRESS_ROWS` at a time.

    Args:
        read: returns the participants, see `mtnet.interfaces.IParticipants`.
    """

    def __init__(self, service: str, read: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._service, self._read, self.rows = service, read, Rows()
        self._found: Sequence[Mapping[str, Any]] = ()
        self._keys: list[str] = []
        self._waiting: dict[int, None] = {}

    def refresh(self) -> Change:
        """Read the participants, and compare those that are other objects."""
        before, self._found = self._found, self._read()
        found, others = self._found, map(is_not, before, self._found)
        fresh = [*compress(count(), others)]
        if len(before) != len(found) or any(_who(before[at]) != _who(found[at]) for at in fresh):
            return self._refresh_all()
        rows = {self._keys[at]: self._row(found[at]) for at in self._take(fresh)}
        changed = {key: row for key, row in rows.items() if row != self.rows[key]}
        self.rows |= changed
        return _change(changed)

    def _take(self, fresh: Iterable[int]) -> list[int]:
        """Return the places of rows to tell now: others wait for their turn."""
        urgent, calm = [], self._waiting
        for at in fresh:
            if self._only_progress(at):
                calm[at] = None
            else:
                urgent.append(at)
                calm.pop(at, None)
        turn = [*islice(calm, PROGRESS_ROWS)]
        for at in turn:
            del calm[at]
        return urgent + turn

    def _only_progress(self, at: int) -> bool:
        before, after = self.rows[self._keys[at]], self._row(self._found[at])
        return bool(before | _NO_PROGRESS == after | _NO_PROGRESS)

    def _refresh_all(self) -> Change:
        rows = by_key(map(self._row, self._found), "service", "role", "channel", "who")
        before, self.rows = self.rows, {f"participant/{key}": row for key, row in rows.items()}
        self._keys = [*self.rows]
        self._waiting.clear()
        return changes(before, self.rows)

    def _row(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {"service": self._service, **found}


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


def _who(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["role"], row.get("channel"), row["who"]


def _is_row(value: object) -> bool:
    return isinstance(value, dict)
