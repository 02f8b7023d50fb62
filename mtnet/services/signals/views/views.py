"""
The views of the signal service: their settings and modes, and what is changed in them.

Everything is decided in the thread of the journal; here is what the reactor has to know of it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct, to_builtins
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import ConfigError, JournalError, NotAskedError, WireError
from mtnet.services.signals.channels import Channels
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.reports.equity import Bases
from mtnet.services.signals.reports.registry import Reported, Reports
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.views import changes
from mtnet.services.signals.views.alias import Aliases
from mtnet.services.signals.views.changes import Leftovers, Workspace
from mtnet.services.signals.views.derivation import Derivation
from mtnet.services.signals.views.explain import explain
from mtnet.services.signals.views.ledger import Key, Row, Target
from mtnet.services.signals.views.losses import judge
from mtnet.services.signals.views.settings import ViewMode, ViewSettings
from mtnet.services.signals.views.terms import Known as KnownReports
from mtnet.services.signals.views.terms import terms
from mtnet.services.signals.views.transform import Terms, View
from mtnet.services.signals.wire import answers, requests

Change = Callable[[Workspace], tuple[Any, list[Entry]]]
"""Returns its result, and the entries that it led to."""
Run = Callable[[Change], "Deferred[Any]"]


class Summary(Struct, frozen=True):
    """
    A view, as the reactor knows it.

    Attributes:
        mode: of now.
        struck: why a limit has closed it; empty = none has.
        bases: what losses are measured from; None = no REPORT has counted.
    """

    settings: ViewSettings
    mode: ViewMode
    struck: str = ""
    bases: Bases | None = None


class Known(NamedTuple):
    """The views that are whole, the names of all, and whose `main` is which."""

    views: Mapping[str, Summary]
    names: Collection[str]
    aliases: Aliases


class Views:
    """
    Registry of the views.

    Args:
        channels: those that views are made of, and their own.
        run: runs a change in the thread of the journal, and sends what it stored.
        begin: shows everybody a view that is new.
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        known: by name; those that are whole.
        names: of all.
        reports: what terminals told.
        unsure: whether a change has failed of which nothing is known.
    """

    log = Logger()

    def __init__(
        self,
        channels: Channels,
        run: Run,
        begin: Callable[[str], Coroutine[Any, Any, None]],
        now: Callable[[], int],
    ) -> None:
        self._channels, self._run, self._begin, self._now = channels, run, begin, now
        self._acks = defaultdict[str, int](now)  # a count of before a restart is none of these
        self.known: dict[str, Summary] = {}
        self.reports: KnownReports = Reports()
        self.unsure = False
        self._by_source: dict[str, list[str]] = {}
        self._aliases = Aliases()
        self.names: Collection[str] = ()

    def open(self, journal: Journal, configured: Mapping[str, ViewSettings]) -> None:
        """
        Read the views, and make those of the configuration; blocks, before the reactor runs.

        Raises:
            ConfigError: one cannot be as configured.
            JournalError: the disk failed.
        """
        try:
            self._open(journal, configured)
        except WireError as error:
            raise ConfigError(f"Invalid signals.views: {error}.") from error
        except NotAskedError as error:
            self.log.error("Views stay as they are: {error}", error=error)
        self._channels.load({name: journal.positions(name) for name in self.known})

    def _open(self, journal: Journal, configured: Mapping[str, ViewSettings]) -> None:
        self._note(journal.look_at_views(_summary))
        if journal.look_at_views(lambda derivation: derivation.aliases.stale):
            with suppress(NotAskedError):  # it is known from the views, too
                journal.change_views(lambda space: None)
        for name, settings in configured.items():
            known = self.known.get(name)
            if known is not None and known.settings == settings:
                continue
            damaged = sorted({name, *settings.sources} & journal.damaged.keys())
            if damaged:
                self.log.error(
                    "The view {name} stays as it is, because {damaged} is damaged.",
                    name=name,
                    damaged=", ".join(damaged),
                )
                continue
            function = changes.add if known is None else changes.edit
            terms = self._terms(settings, ())
            journal.change_views(partial(function, name=name, settings=settings, terms=terms))
        self._note(journal.look_at_views(_summary))

    # What the signal service asks

    def of(self, source: str) -> list[str]:
        """Name the views of a channel."""
        return self._by_source.get(source, [])

    def terms(self, entries: Iterable[Entry]) -> dict[str, Terms]:
        """Return what is known of the followers of views, for a commit of these drafts."""
        symbols: dict[str, set[str]] = {}
        for entry in entries:
            for name in self.of(entry.channel):
                if self.known[name].settings.follower:
                    symbols.setdefault(name, set()).add(entry.symbol)
        return {
            name: self._terms(self.known[name].settings, each) for name, each in symbols.items()
        }

    def pause_mode(self, name: str) -> PauseMode | None:
        """Return how a view is paused; None = it is not, or is none."""
        mode = None if name not in self.known else self.known[name].mode
        return mode if mode == "close_only" or mode == "frozen" else None

    def is_follower(self, name: str, login: str, terminal: str) -> bool:
        """Return whether a session is the one whose copies a view is about."""
        follower = "" if name not in self.known else self.known[name].settings.follower
        return bool(login) and follower in (login, f"{login}/{terminal}")

    def limits(self, name: str) -> dict[str, str]:
        """Return what the follower of a view judges before it opens, as fields of SYNCED."""
        if name not in self.known:
            return {}
        settings = self.known[name].settings
        age, slippage = settings.max_age, settings.max_slippage
        shown = {} if age is None else {"max_age": f"{age:.5f}".rstrip("0").rstrip(".")}
        return shown if slippage is None else {**shown, "max_slippage": f"{slippage:f}"}

    def refuse_publish(self, channel: str) -> None:
        """
        Refuse a signal for a view.

        Raises:
            WireError: `denied`.
        """
        if channel in self.known:
            sources = ", ".join(self.known[channel].settings.sources)
            raise WireError(
                "denied", f"{channel} is a view, which follows {sources} and takes no signals"
            )

    def main_of(self, login: str, host: str) -> str:
        """Return the channel that a connection means by `main`; `login` is empty without one."""
        return self._aliases.channel(login, host)

    def refuse_follow(self, channel: str) -> None:
        """
        Refuse a follower of a view that only monitors.

        Raises:
            WireError: `denied`.
        """
        if channel in self.known and self.known[channel].mode == "monitor":
            raise WireError("denied", f"{channel} is computed and shown to its owner alone")

    # REPORTs

    def acknowledged(self, name: str) -> None:
        """Note that the follower of a view said what became of an entry: it may have traded."""
        self._acks[name] += 1

    def reported(self, login: str, terminal: str) -> None:
        """Judge the losses of the views that are made for a terminal, which has sent a REPORT."""
        for name, known in list(self.known.items()):
            if self.is_follower(name, login, terminal) and not known.struck:
                self._judge(name, known, self.reports.last_two(login, terminal)[0])

    def _judge(self, name: str, known: Summary, reported: Reported) -> None:
        moves = self._channels.book.channel(name).seq, self._acks[name]
        bases, why = judge(known.settings, known.bases, reported, moves)
        self.known[name] = replace(known, bases=bases, struck=why)
        before, now = known.bases, bases
        # A peak is written with the day; until then a restart takes the one before.
        kept = before is not None and now is not None and before.day == now.day
        if why or not kept:
            moved = before is not None and now is not None and before.account != now.account
            # Another account's losses say nothing of these positions.
            then = "close_only" if moved else known.settings.then
            done = Deferred.fromCoroutine(self._strike(name, bases, why, then))
            done.addErrback(self._not_struck, name, known)

    def _not_struck(self, failure: Failure, name: str, known: Summary) -> None:
        """The disk did not keep it: the next REPORT is judged as this one was."""
        self.log.error("{why}", why=failure.getErrorMessage())
        if name in self.known:
            self.known[name] = known

    async def _strike(self, name: str, bases: Bases | None, why: str, then: str) -> None:
        if why:
            self._channels.events.struck(name, why)
        strike = partial(
            changes.strike, name=name, bases=bases, why=why, then=then, when=self._now()
        )
        await self._change(strike)
        if why and self.pause_mode(name) == "close_only":
            self._channels.announce(name, answers.paused(name, "close_only"))
            if then == "flatten":
                self._channels.announce(name, answers.flattened(name))

    # What people and followers change

    async def add(self, name: str, settings: ViewSettings) -> None:
        """Make a view; raises as `changes.add`."""
        terms = await self._full_terms(settings)
        await self._change(partial(changes.add, name=name, settings=settings, terms=terms))
        await self._begin(name)

    async def edit(self, name: str, settings: ViewSettings, apply: bool = False) -> None:
        """Change the settings of a view; raises as `changes.edit`."""
        terms = await self._full_terms(settings)
        edit = partial(changes.edit, name=name, settings=settings, terms=terms, apply=apply)
        limits = self.limits(name)
        await self._change(edit)
        if self.limits(name) != limits:
            self._channels.renew(name)

    async def diff(self, name: str, settings: ViewSettings) -> list[dict[str, str]]:
        """Return what `edit` with `apply` would change; raises as that."""
        terms = await self._full_terms(settings)
        function = partial(changes.diff, name=name, settings=settings, terms=terms)
        found = await self._run(lambda space: (function(space), []))
        return [
            {
                "symbol": draft.target.symbol,
                "ticket": draft.target.ticket,
                "before": f"{before.volume:f}",
                "after": f"{draft.shown.volume:f}",
            }
            for before, draft in found
        ]

    async def set_mode(self, name: str, mode: ViewMode) -> None:
        """Change the mode of a view; raises as `changes.set_mode`."""
        await self._change(partial(changes.set_mode, name=name, mode=mode, when=self._now()))

    async def flatten(self, name: str, why: str) -> int:
        """Close what a view copies, and return how much; raises as `changes.flatten`."""
        return len(
            await self._change(partial(changes.flatten, name=name, why=why, when=self._now()))
        )

    async def remove(self, name: str, leftovers: Leftovers) -> None:
        """End a view; raises as `changes.remove`."""
        await self._change(
            partial(changes.remove, name=name, leftovers=leftovers, when=self._now())
        )

    async def release(self, ack: requests.Ack, entry: Entry) -> None:
        """Take from the follower that its copy of an entry is gone, or smaller."""
        await self._change(
            partial(
                changes.release,
                name=ack.channel,
                seq=ack.seq,
                target=Target(entry.symbol, entry.ticket),
                left=ack.volume or FLAT,
                why=ack.reason or "",
                when=self._now(),
            )
        )

    async def explain(self, name: str, symbol: str) -> list[str]:
        """Say how the volumes of a symbol came about; raises `WireError` (`channel`)."""
        return explain(*await self._ledger(name), symbol)

    async def rows(self, name: str) -> list[dict[str, object]]:
        """Return the ledger of a view, as JSON values; raises `WireError` (`channel`)."""
        view, rows = await self._ledger(name)
        names = {number: source for source, number in view.numbers.items()}
        return [
            {
                "source": names.get(key.source, str(key.source)),
                "symbol": key.symbol,
                "ticket": key.ticket,
                "volume": f"{row.volume:f}",
                "target": row.target.symbol,
                "target_ticket": row.target.ticket,
                "type": row.type,
                "copy": f"{row.shown:f}",
                "skipped": row.skipped,
            }
            for key, row in sorted(rows.items())
        ]

    def report(self) -> dict[str, object]:
        """Return the views and their settings, as JSON values."""
        return {
            name: {**to_builtins(each.settings), "mode": each.mode, "struck": each.struck}
            for name, each in sorted(self.known.items())
        }

    async def _ledger(self, name: str) -> tuple[View, Mapping[Key, Row]]:
        found: tuple[View, Mapping[Key, Row]] = await self._run(
            lambda space: (changes.rows_of(space, name), [])
        )
        return found

    async def _change(self, change: Callable[[Workspace], list[Entry]]) -> list[Entry]:
        """Change something, and know what came of it; return the entries."""

        def both(space: Workspace) -> tuple[tuple[Known, list[Entry]], list[Entry]]:
            entries = change(space)
            return (_summary(space.derivation), entries), entries

        try:
            known, entries = await self._run(both)
        except JournalError:
            self.unsure = True
            raise
        self._note(known)
        found: list[Entry] = entries
        return found

    async def refresh(self) -> None:
        """
        Know again what is stored: a change has failed, and may be stored nevertheless.

        Raises:
            JournalError: the disk fails still.
        """
        before = set(self.known)
        await self.reload()
        for name in self.known.keys() - before:
            await self._begin(name)

    async def reload(self) -> None:
        """
        Know again what is stored.

        Raises:
            JournalError: the disk fails.
        """
        self.unsure = False
        await self._change(lambda space: [])

    def _note(self, found: Known) -> None:
        views, before = found.views, self._aliases
        self.names, self._aliases = found.names, found.aliases
        fresh = {name: _newest(each, self.known.get(name)) for name, each in views.items()}
        self.known.clear()
        self.known.update(fresh)
        self._by_source = {}
        for name, each in views.items():
            for source in each.settings.sources:
                self._by_source.setdefault(source, []).append(name)
        if before != self._aliases:
            self._channels.recheck()

    async def _full_terms(self, settings: ViewSettings) -> Terms:
        """Return what is known, of every symbol that the sources hold."""

        def symbols(space: Workspace) -> tuple[set[str], list[Entry]]:
            states = filter(None, map(space.state, settings.sources))
            return {each.symbol for state in states for each in state.positions}, []

        return (
            self._terms(settings, await self._run(symbols))
            if settings.follower
            else (Terms(self._now()))
        )

    def _terms(self, settings: ViewSettings, symbols: Iterable[str]) -> Terms:
        return terms(settings, self.reports, symbols, self._now())


def _summary(derivation: Derivation) -> Known:
    views = {
        name: Summary(each.view.settings, each.view.mode, each.view.struck, each.bases)
        for name, each in derivation.views.items()
    }
    return Known(views, derivation.names, derivation.aliases.known)


def _newest(found: Summary, known: Summary | None) -> Summary:
    """Return what is stored of a view, with the bases of now: a peak is written with its day."""
    if known is None or known.bases is None or found.bases is None:
        return found
    return found if found.bases.day > known.bases.day else replace(found, bases=known.bases)
