"""
Sections of a part that is watched: rows that are read once a second, and what has changed of them.

Pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, compress, count, islice
from operator import is_not, ne
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from mtnet.services.status.rows import Change, Rows, change, changes, joined, keys, public

TURN = 25
"""Rows of one kind that are sent in one change at least, those that have waited longest first,
where nobody has to look at once."""
CYCLE = 25
"""Changes in which each of them is sent, however many there are: 50 s, where a change comes every
two seconds. People are told the age of an acknowledgement in minutes."""
_NEW: Any = object()
T = TypeVar("T")


class Section(Protocol):
    """Rows that are watched; `rows` are those of the last `refresh`."""

    @property
    def rows(self) -> Rows: ...

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


class Rotation(Generic[T]):
    """
    FIFO queue of rows that are to be told, each made of a thing that is another object once it has
    changed.

    The rows of new things are made at once, and of those with another mark; of all others that
    have changed, some at a time (`TURN`, `CYCLE`). No thing but those of now is held: the new ones
    would lie between the old ones in memory.

    Args:
        row: makes a row.
        prefix: of the keys of the rows.
        differ: returns whether a thing says something else than the one before.
    """

    def __init__(
        self,
        row: Callable[[T], Any],
        prefix: str = "",
        differ: Callable[[object, object], bool] = ne,
    ) -> None:
        self._row, self._prefix, self._differ, self.rows = row, prefix, differ, Rows()
        self._keys: list[str] = []
        self._places: dict[str, int] = {}
        self._things: Sequence[T] = []
        self._marks: Sequence[object] = []
        self._waiting: dict[str, None] = {}

    def take(
        self, keys: list[str], things: Sequence[T], marks: Sequence[object] | None = None
    ) -> Change:
        """
        Take the things of now; return what has changed of the rows.

        Args:
            keys: of the things, in their order.
            marks: of the things: equal for as long as their rows can wait; None = each can.
        """
        marks = keys if marks is None else marks
        gone = self._move(keys) if keys != self._keys else []
        due = [] if self._marks == marks else _others(self._marks, marks, ne)
        changed = _others(self._things, things, self._differ)
        self._things, self._marks = [*things], marks
        self._waiting |= {keys[at]: None for at in changed}
        for at in due:
            self._waiting.pop(keys[at], None)
        turn = [*islice(self._waiting, max(TURN, len(keys) // CYCLE))]
        for key in turn:
            del self._waiting[key]
        places = chain(due, (self._places[key] for key in turn))
        made = {self._prefix + keys[at]: self._row(things[at]) for at in places}
        fresh = {key: row for key, row in made.items() if self.rows.get(key, _NEW) != row}
        self.rows |= fresh
        for key in gone:
            del self.rows[key]
        return change(fresh, gone)

    def _move(self, keys: list[str]) -> list[str]:
        """Let other things stand there; return the keys of the rows that are gone."""
        before = self._places
        self._keys, self._places = keys, {key: at for at, key in enumerate(keys)}
        moved = [before.get(key) for key in keys]
        self._things = [_NEW if at is None else self._things[at] for at in moved]
        self._marks = [_NEW if at is None else self._marks[at] for at in moved]
        self._waiting = {key: None for key in self._waiting if key in self._places}
        return [self._prefix + key for key in before if key not in self._places]


def _others(
    before: Sequence[object], now: Sequence[object], differ: Callable[[object, object], bool]
) -> list[int]:
    """Return the places at which something else stands now."""
    others = compress(count(), map(is_not, before, now))
    return [*others] if differ is is_not else [at for at in others if differ(before[at], now[at])]


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

    With another judgement a participant is sent at once; the others take turns.

    Args:
        read: returns the participants, see `mtnet.interfaces.IParticipants`.
    """

    def __init__(self, service: str, read: Callable[[], Sequence[Participant]]) -> None:
        self._own, self._read = ("participant", service), read
        # They never change: another object is one that has changed, and none has to be read.
        self._rotation: Rotation[Participant] = Rotation(
            lambda each: {"service": service, **each.row()}, differ=is_not
        )
        self._names: list[Sequence[str]] = []
        self._keys: list[str] = []

    @property
    def rows(self) -> Rows:
        """The rows as they were sent."""
        return self._rotation.rows

    def refresh(self) -> Change:
        """Read the participants, and make the rows that are sent now."""
        found = self._read()
        names = [each.name for each in found]
        if names != self._names:
            self._names, self._keys = names, keys((*self._own, *each) for each in names)
        return self._rotation.take(self._keys, found, [each.judgement for each in found])


class Details:
    """
    Section of what components tell of themselves: a row for each, and rows for their tables.

    A table is a mapping of mappings, such as that of channels: a row `NAME/channels/gold` for each
    of these. They take turns where they are many. Lists of mappings, such as that of sessions, are
    left out: they change all the time.

    Args:
        read: returns what each tells, by name: JSON values, and Structs in place of mappings.
    """

    def __init__(self, read: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self._read, self._own = read, Rows()
        self._tables: dict[str, Rotation[Any]] = {}

    @property
    def rows(self) -> Rows:
        """The rows as they were sent."""
        tables = (each.rows for each in self._tables.values())
        return {key: row for rows in (self._own, *tables) for key, row in rows.items()}

    def refresh(self) -> Change:
        """Read everything, and compare it."""
        own, tables = Rows(), dict[str, Mapping[str, Any]]()
        for name, said in self._read().items():
            row = own[name] = Rows()
            for key, value in said.items():
                if _is_table(value):
                    tables[f"{name}/{key}/"] = value
                elif not (isinstance(value, list) and any(map(_is_row, value))):
                    row[key] = value
        before, self._own = self._own, own
        return joined([changes(before, own), *self._refresh_tables(tables)])

    def _refresh_tables(self, found: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
        for prefix, rotation in list(self._tables.items()):
            if prefix not in found:
                del self._tables[prefix]
                yield rotation.take([], [])
        for prefix, table in found.items():
            if prefix not in self._tables:
                self._tables[prefix] = Rotation(_itself, prefix)
            yield self._tables[prefix].take([*table], [*table.values()])


class PublicSection:
    """Section without what is for admins alone; only rows that have changed are cut."""

    def __init__(self, section: Section) -> None:
        self._section, self.rows = section, Rows()

    def refresh(self) -> Change:
        """Refresh the whole section, and cut what has changed."""
        found = self._section.refresh()
        shown = {key: public(row) for key, row in found.get("set", {}).items()}
        fresh = {key: row for key, row in shown.items() if self.rows.get(key, _NEW) != row}
        self.rows |= fresh
        gone = found.get("removed", ())
        for key in gone:
            del self.rows[key]
        return change(fresh, gone)


def _itself(row: Any) -> Any:
    return row


def _is_row(value: object) -> bool:
    return isinstance(value, (dict, Struct))


def _is_table(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    # A table can have thousands of rows, and few types of them.
    return all(issubclass(each, (dict, Struct)) for each in {*map(type, value.values())})
