"""
Registry of terminals: the last two REPORTs and the SPECs of each.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct
from zope.interface import implementer

from mtnet.interfaces import IReports
from mtnet.services.signals.reports.equity import Bases, track
from mtnet.services.signals.reports.wire import Report, Spec

INTERVAL = 1_000
"""Milliseconds: of the REPORTs of a second one is kept, the last."""
MAX_TERMINALS = 50
"""Terminals of one login; the one that was silent longest is forgotten. A name is the client's
choice, and a program that draws one at each start must not fill the memory."""
MAX_SPECS = 500
"""Symbols of one terminal, of about 500 bytes; the one that was told longest ago is forgotten.
A terminal describes the symbols that it trades."""


class Reported(Struct, frozen=True):
    """
    A REPORT and when it came.

    Attributes:
        time: when; the last of several within `INTERVAL` has the time of the first.
    """

    report: Report
    time: int


class Described(Struct, frozen=True):
    """A SPEC and when it came."""

    spec: Spec
    time: int


class Terminal(Struct):
    """
    One terminal.

    Attributes:
        login, name: of its sessions.
        last, previous: the REPORTs; None = there was none.
        specs: by symbol.
        bases: what its losses are measured from; None = no REPORT has named its equity.
    """

    login: str
    name: str
    last: Reported | None = None
    previous: Reported | None = None
    specs: dict[str, Described] = {}
    bases: Bases | None = None


class TerminalKey(NamedTuple):
    """Login and name of a terminal's sessions."""

    login: str
    name: str


@implementer(IReports)
class Reports:
    """
    Registry of terminals, by login and by the name that a session gave itself.

    Attributes:
        changes: how often anything was noted; what is stored is compared with it.
    """

    def __init__(self, terminals: Iterable[Terminal] = ()) -> None:
        self._by_login: dict[str, dict[str, Terminal]] = {}
        self.changes = 0
        for each in terminals:
            self._by_login.setdefault(each.login, {})[each.name] = each
        self._last = {_shown(each): each.last for each in self if each.last is not None}

    def __iter__(self) -> Iterator[Terminal]:
        for terminals in self._by_login.values():
            yield from terminals.values()

    def report(self, key: TerminalKey, report: Report, when: int) -> None:
        """Take a REPORT."""
        terminal = self._touch(key)
        last = terminal.last
        terminal.bases = track(terminal.bases, report, when)
        # A clock that was set back must not keep the old one for ever.
        if last is not None and last.time <= when < last.time + INTERVAL:
            terminal.last = Reported(report, last.time)
        else:
            terminal.last, terminal.previous = Reported(report, when), last
        self._last[_shown(key)] = terminal.last

    def describe(self, key: TerminalKey, spec: Spec, when: int) -> None:
        """Take a SPEC."""
        specs = self._touch(key).specs
        specs.pop(spec.symbol, None)
        specs[spec.symbol] = Described(spec, when)
        if len(specs) > MAX_SPECS:
            del specs[next(iter(specs))]

    def last_two(self, login: str, name: str) -> tuple[Reported, ...]:
        """Return the last REPORTs of a terminal, newest first: none, one or two."""
        found = self._find(login, name)
        each = () if found is None else (found.last, found.previous)
        return tuple(reported for reported in each if reported is not None)

    def spec(self, login: str, name: str, symbol: str) -> Described | None:
        """Return how the broker of a terminal describes a symbol; None = not known."""
        found = self._find(login, name)
        return None if found is None else found.specs.get(symbol)

    def status(self) -> dict[str, dict[str, object]]:
        """Return what `mtnet signals status` shows of each terminal, by login and name."""
        return {
            _shown(each): {
                "login": each.login,
                "name": each.name,
                "time": None if each.last is None else each.last.time,
                "report": {} if each.last is None else plain(each.last.report),
                "specs": {symbol: plain(known.spec) for symbol, known in each.specs.items()},
            }
            for each in self
        }

    def newest(self) -> dict[str, Reported]:
        """Return the last REPORT of each terminal, by login and name; another object if new."""
        return {**self._last}

    def copy(self) -> list[Terminal]:
        """Return the terminals as they are now, for a thread."""
        return [
            Terminal(each.login, each.name, each.last, each.previous, dict(each.specs), each.bases)
            for each in self
        ]

    def _find(self, login: str, name: str) -> Terminal | None:
        """Find a terminal; without a name it may be any of its login, the one that spoke last."""
        own = self._by_login.get(login, {})
        found = own.get(name)
        return next(reversed(own.values()), None) if found is None and not name else found

    def _touch(self, key: TerminalKey) -> Terminal:
        """Return a terminal as the one of its login that spoke last."""
        self.changes += 1
        own = self._by_login.setdefault(key.login, {})
        found = own.pop(key.name, None)
        found = own[key.name] = Terminal(*key, specs={}) if found is None else found
        if len(own) > MAX_TERMINALS:
            oldest = next(iter(own))
            del own[oldest]
            self._last.pop(_shown(TerminalKey(key.login, oldest)), None)
        return found


def _shown(terminal: Terminal | TerminalKey) -> str:
    """Return a terminal as people name it."""
    return "/".join(filter(None, (terminal.login, terminal.name)))


def plain(struct: Struct) -> dict[str, object]:
    """Return a REPORT or a SPEC as JSON values; money and volumes are texts."""
    shown: dict[str, object] = msgspec.to_builtins(struct)
    return shown
