"""Follow a channel of signals, one change after the other."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mtnet.client import state as files
from mtnet.client.aio.client import Client, session_link
from mtnet.client.aio.logs import log_event
from mtnet.client.core.address import read_address
from mtnet.client.core.events import Blind, FollowerEvent, Refused, State, Synced
from mtnet.client.core.follower import FollowerCore
from mtnet.client.core.handover import Handover, Kept
from mtnet.client.core.login import Login
from mtnet.client.core.replica import ChannelCopy, Key, Replica
from mtnet.client.core.session import Session
from mtnet.client.feedback import Acknowledging
from mtnet.errors import RefusedError
from mtnet.services.signals import values
from mtnet.services.signals.wire.answers import Entry, Signal

MOST_WAITING = 10_000
"""Changes that wait for the program before no more are read: a few megabytes."""


class Follower(Client[FollowerEvent], Acknowledging):
    """
    Asynchronous iterator over the changes of a channel: each once and in order.

    An entry says how a position stands from now on: `volume` 0 = it is closed. After a snapshot
    come the entries by which it differs from what was handled before, closes first.

    **At least once**: an entry is handled when the loop comes back for the next one, or calls
    `handled()`. A loop that was left by an exception or by `break` has not handled its entry,
    which comes again: to the next loop over this object, and with `state` to the next run of the
    program. The connection is kept while the program works on an entry.

    Args:
        server: `tcp:HOST:PORT`, `secure:HOST:PORT`, `ws://…`, `wss://…`, `http://…` or
            `https://…`.
        channel: its name.
        symbols: None = all.
        state: a file that keeps what was handled, over restarts of the program; one file for one
            follower. None = the follower begins with a snapshot.
        on_event: called with all events but entries, such as `Blind`, `OtherHistory`, `Notice`;
            their `str` is a sentence. By default they are logged as `mtnet.client`.
        name: shown in the server's status.
        login: sent only over TLS or within this machine.
        ca: PEM file of the authorities that are trusted; None = those of the machine.
        retry: whether to connect again. If not, the first failure is raised.

    Raises:
        ClientError: an argument is invalid, or the state cannot be read. The loop raises it when
            the login is refused, the state cannot be written, or without `retry`.
    """

    _core: FollowerCore

    def __init__(
        self,
        server: str,
        channel: str = "main",
        *,
        symbols: Iterable[str] | None = None,
        state: Path | str | None = None,
        on_event: Callable[[FollowerEvent], object] = log_event,
        name: str = "",
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        self._file = None if state is None else Path(state)
        kept = (None if self._file is None else files.load(self._file)) or _NOTHING
        address = read_address(server, ca, http=True)
        replica = Replica.of(
            channel, symbols, kept.epoch, kept.seq, kept.h, kept.positions, kept.kept_for
        )
        begun = replica.release_begun(kept.begun)
        self._core = FollowerCore(Session(name, login), replica)
        self._core.max_age, self._core.max_slippage = kept.max_age, kept.max_slippage
        self._limits = kept.max_age, kept.max_slippage
        self._on_event, self._handing, self._reported_blind = on_event, False, False
        first = list(self._core.start())
        self._link = session_link(address, self._core, self._handle, self._ended, retry, first)
        copy = replica.copy
        self._handover = Handover(
            ChannelCopy(copy.epoch, copy.seq, copy.h, copy.positions.values()), begun
        )
        self._news = asyncio.Event()

    # What was handled

    @property
    def positions(self) -> Mapping[Key, Entry]:
        """The positions that were handled: (symbol, ticket) → the entry that set it."""
        return MappingProxyType(self._handover.copy.positions)

    @property
    def epoch(self) -> str | None:
        """The journal that is followed; None = none yet."""
        return self._handover.copy.epoch

    @property
    def seq(self) -> int:
        """The number of the last entry that was handled."""
        return self._handover.copy.seq

    # The channel

    @property
    def blind(self) -> bool:
        """Whether nothing is known of the channel now."""
        return self._core.blind

    @property
    def paused(self) -> values.PauseMode | None:
        """The mode of the channel's pause; None = it accepts everything."""
        return self._core.paused

    @property
    def held(self) -> bool:
        """Whether another history waits for `accept()`; until then no entry comes."""
        return self._core.replica.waiting is not None

    def accept(self) -> None:
        """Follow the new epoch, or the history that went back, from the state that it shows."""
        self._link.run(self._core.accept())

    def handled(self) -> None:
        """
        Note, and with `state` write, that the present entry is handled, before the loop comes back.

        Raises:
            ClientError: the state cannot be written.
        """
        if self._handing:
            self._handing = False
            self._handover.handled()
            self._save()

    # The iterator

    def __aiter__(self) -> "Follower":
        self._handing = False
        return self

    async def __anext__(self) -> Entry:
        self._link.start()
        if self._handing:
            self._handing = False
            self._handover.handled()
        while (entry := self._handover.next()) is None:
            self._save()
            await self._wait()
        self._save()
        self._handing = True
        return entry

    def _ended(self, _: "asyncio.Future[None]") -> None:
        self._news.set()

    async def _wait(self) -> None:
        """Wait for an event, or raise why there will be none."""
        runner = self._link.runner
        if runner is None or runner.ended.done():
            if runner is not None:
                runner.ended.result()
            raise StopAsyncIteration
        runner.resume()
        self._news.clear()
        await self._news.wait()

    def _handle(self, event: FollowerEvent) -> None:
        if isinstance(event, Signal | State | Synced):
            self._handover.add(event, self._core.replica.copy.epoch or "")
            self._news.set()
            if len(self._handover) >= MOST_WAITING:
                self._link.pause()
        if isinstance(event, Refused) and event.code == "login":
            raise RefusedError(event.code, event.text)
        if isinstance(event, Blind):
            before, self._reported_blind = self._reported_blind, bool(event.reason)
            if before and event.reason:
                return  # as before: each attempt that fails would say it again
        if not isinstance(event, Signal | State):
            self._on_event(event)

    def _save(self) -> None:
        limits = self.max_age, self.max_slippage
        if self._file is not None and (self._handover.changed or limits != self._limits):
            self._handover.changed, self._limits = False, limits
            copy = self._handover.copy
            kept_for, positions = self._core.replica.kept_for, tuple(copy.positions.values())
            begun = self._handover.begun
            kept = Kept(kept_for, copy.epoch, copy.seq, copy.h, positions, begun, *limits)
            files.save(self._file, kept)


_NOTHING = Kept("", None, 0, "", ())


def follow(server: str, channel: str = "main", **options: Any) -> Follower:
    """
    Follow a channel: `async for signal in follow("tcp:127.0.0.1:8081")`.

    Args and raises as of `Follower`.
    """
    return Follower(server, channel, **options)
