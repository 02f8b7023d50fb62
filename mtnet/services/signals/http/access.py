"""Rights of the client of one request, and the channels that it means by their names."""

from mtnet.access.rights import Rights
from mtnet.net.http.route import HttpRequest
from mtnet.services.signals.book import Channel
from mtnet.services.signals.history.catch_up import witness
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.followers import NOBODY
from mtnet.services.signals.verbs import SIGNALS
from mtnet.services.signals.views.alias import MAIN

MAX_AGENT = 100
"""Characters of a User-Agent that are shown."""


class RequestAccess:
    """
    Rights of one request in channels.

    Attributes:
        login: of the client; empty = anonymous.
        host: where it comes from.
        main: the channel that the client means by `main`, a view for some accounts.
    """

    def __init__(self, request: HttpRequest, signals: SignalService) -> None:
        self._request, self._signals = request, signals
        self.login = "" if request.identity is None else request.identity.name
        self.host = request.peer.host
        self.main = signals.views.main_of(self.login, self.host)

    def meant(self, name: str) -> str:
        """Return the channel that the client means by a name."""
        return self.main if name == MAIN else name

    def shown(self, channel: str) -> str:
        """Return the name of a channel for the client."""
        return MAIN if channel == self.main else channel

    def may_see(self, channel: str) -> bool:
        """Return whether the client may follow a channel, or publish in it."""
        rights: Rights = self._request.rights
        return rights.may("follow", SIGNALS, channel) or rights.may("publish", SIGNALS, channel)

    def demand_any(self) -> None:
        """Check that there is any channel for the client; raises `HttpError`."""
        if not self._request.rights.any("publish", SIGNALS):
            self._request.demand("follow", SIGNALS)

    def demand_publish(self, name: str) -> str:
        """Check the right to publish; return the channel. Raises `HttpError`."""
        channel = self.meant(name)
        self._request.demand("publish", SIGNALS, channel)
        return channel

    def find(self, name: str) -> Channel:
        """
        Find a channel to follow.

        Raises:
            HttpError: there is no right to.
            WireError: `channel`, `denied` (a view that only monitors) or `server` (it is damaged).
        """
        channel = self.meant(name)
        if not self.may_see(channel):
            self._request.demand("follow", SIGNALS, channel)
        self._signals.views.refuse_follow(channel)
        return self._signals.channel(channel)

    def terminal(self, name: str) -> TerminalKey:
        """Return login and name of the client, by which it is known when it comes again."""
        known = self.login or self._request.peer.trusted
        return TerminalKey(self.login, name) if known else NOBODY

    def witness(self, name: str) -> str:
        """Name the client if its claims on the history of a channel count; else nothing."""
        peer = self._request.peer
        known = self._request.identity is not None or peer.trusted
        return witness(known, name, self.login, self.host)

    @property
    def agent(self) -> str:
        """The program of the client, in its words."""
        found = self._request.requestHeaders.getRawHeaders(b"User-Agent", [b""])[0]
        return str(found.decode("latin-1")[:MAX_AGENT])

    @property
    def here(self) -> bool:
        """Whether the client is still there."""
        return self._request.peer.open


def terminal_of(request: HttpRequest, signals: SignalService, name: str) -> TerminalKey:
    """Return the terminal that a request comes from, if it may do anything; raises `HttpError`."""
    access = RequestAccess(request, signals)
    access.demand_any()
    return access.terminal(name)
