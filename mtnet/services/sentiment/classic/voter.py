"""A classic program as a voter, which is sent the sums of its symbols."""

from collections.abc import Callable
from decimal import Decimal

from mtnet.access.addresses import network_of
from mtnet.daemon.environment import Environment
from mtnet.errors import PolicyError
from mtnet.net.peer import Peer
from mtnet.net.transport import StreamTransport
from mtnet.services.sentiment.classic.sender import SumSender
from mtnet.services.sentiment.service import SentimentService, voter_of
from mtnet.services.sentiment.verbs import PUBLISH, demand
from mtnet.services.sentiment.votes import Holder


class ClassicVoter:
    """The votes of one connection, and the sums that it is sent from its first vote on."""

    def __init__(self, env: Environment, peer: Peer, sentiment: SentimentService) -> None:
        self._env, self._peer, self._sentiment = env, peer, sentiment
        self._holder: Holder | None = None
        self._sender: SumSender | None = None

    def vote(
        self, symbol: str, volume: Decimal, transport: StreamTransport, end: Callable[[str], None]
    ) -> None:
        """
        Vote.

        Args:
            end: closes the connection, and says why.

        Raises:
            PolicyError: `denied`; it has no right to, or names too many symbols.
        """
        peer, sender = self._peer, self._sender
        demand(peer.rights, PUBLISH, symbol)
        if sender is not None and not sender.has_room(symbol):
            raise PolicyError("denied", "There are too many symbols; see sentiment.max_symbols")
        login = "" if peer.identity is None else peer.identity.name
        network = network_of(peer.host)
        holder = self._hold(login, network)
        asker = None if sender is None else sender.changed
        self._sentiment.hold(holder, symbol, volume, network if login else "", asker)
        peer.mark_active()
        if sender is None:
            sender = self._sender = SumSender(
                self._env.section, self._sentiment, transport, self._env.clock, end
            )
        sender.offer(symbol)

    def stop(self) -> None:
        """Send nothing more; the votes linger."""
        if self._holder is not None:
            self._sentiment.end(self._holder)
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    def _hold(self, login: str, network: str) -> Holder:
        """Return the holder of the votes; after another login those of before are withdrawn."""
        voter, holder = voter_of(login, network), self._holder
        if holder is not None and holder.voter != voter:
            self._sentiment.withdraw(holder)
            holder = None
        self._holder = holder or Holder(voter)
        return self._holder
