"""The verbs of signals in a session: PUBLISH, SUBSCRIBE, UNSUBSCRIBE and ACK."""

from collections.abc import Collection, Mapping
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import WireError
from mtnet.interfaces import ISessionHandler, ISessionVerbs
from mtnet.services.signals import wire
from mtnet.services.signals.book import Channel
from mtnet.services.signals.model import Entry
from mtnet.services.signals.publishers import Publisher, PublisherId
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.subscription import Subscription
from mtnet.services.signals.wire import Ack, Publish, Subscribe, Unsubscribe
from mtnet.session import messages
from mtnet.session.grammar import Message
from mtnet.session.session import Session, Verb

SIGNALS = "signals"
"""The name of this service in rights."""
MAX_REFUSED = 100
"""Refused channels of a client that are remembered, to offer them when it may have them."""
MAX_PUBLISHED = 1_000
"""Channels of a client's signals whose pauses it is sent: as many as there can be."""


@implementer(ISessionHandler)
class SignalClient:
    """The subscriptions and the publisher of one session."""

    __slots__ = (
        "_publishing", "_refused", "_session", "_signals", "_subscriptions", "_unanswered",
    )  # fmt: skip

    log = Logger()

    def __init__(self, session: Session, signals: SignalService) -> None:
        self._session, self._signals = session, signals
        self._subscriptions: tuple[Subscription, ...] = ()  # mostly one
        self._publishing: Publishing | None = None
        self._refused: dict[tuple[str, str], None] | None = None
        self._unanswered = 0

    # The session

    def permitted(self) -> bool:
        rights = self._session.peer.rights
        return rights.any("follow", SIGNALS) or rights.any("publish", SIGNALS)

    def welcomed(self) -> dict[str, str]:
        for each in self._subscriptions:
            if not self._may_follow(each.name):  # the login is another one now
                self._drop(each.name)
        epoch = self._signals.epoch("main")
        self._end_publishing(True)  # a publisher that was fenced begins anew
        self._refused = None
        self._session.throttle.resume("disk")
        self._signals.sessions[self] = None
        return {"epoch": epoch}

    def heartbeat(self) -> dict[str, str]:
        seqs = {each.name: each.position for each in self._subscriptions if each.live}
        return {"seqs": wire.join_seqs(seqs)} if seqs else {}

    def rights_gained(self) -> None:
        self.offer({channel for channel, _ in self._refused or ()})

    def busy(self) -> bool:
        return bool(self._unanswered or self._subscriptions)

    def leaving(self) -> None:
        former, self._subscriptions = self._subscriptions, ()
        for each in former:
            each.stop()

    def closed(self, bye: bool) -> None:
        self.leaving()
        self._signals.sessions.pop(self, None)
        self._end_publishing(bye)

    # The service

    def renew(self, channel: str) -> None:
        """Send the whole of a channel that has a new epoch, if the client follows it."""
        for each in self._subscriptions:
            if each.name == channel:
                self.subscribe(Subscribe(channel, each.symbols))

    def announce(self, channel: str, frame: bytes) -> None:
        """Send news of a channel in which the client published; followers get it by the fan-out."""
        following = [each for each in self._subscriptions if each.name == channel]
        published = self._publishing is not None and channel in self._publishing.channels
        # A follower that is still catching up is not in the fan-out yet.
        if any(not each.live for each in following) or (not following and published):
            self._session.send(frame)

    def offer(self, channels: Collection[str]) -> None:
        """Name the channels of these that the client was refused before and may have now."""
        asked = [each for each in self._refused or () if each[0] in channels]
        granted = [each for each in asked if self._is_open(*each)]
        if self._refused is None or not granted:
            return
        for each in granted:
            del self._refused[each]
        self._session.send(wire.channels({channel for channel, _ in granted}))

    def report(self) -> Mapping[str, object]:
        """Return who the client is and how far it is, for `mtnet signals status`."""
        now = self._session.now()
        channels = {each.name: each.report(now) for each in self._subscriptions}
        return {**self._session.report(), "channels": channels}

    # The verbs

    def subscribe(self, asked: Subscribe) -> None:
        """SUBSCRIBE: follow a channel, or change the filter."""
        channel = self._find(asked.channel)
        self._drop(asked.channel)
        subscription = Subscription(self._signals, channel, asked.symbols, self._session.queue)
        self._subscriptions += (subscription,)
        subscription.start(asked, self._witness(), lambda: self._unreadable(asked.channel))

    def unsubscribe(self, asked: Unsubscribe) -> None:
        """UNSUBSCRIBE: follow a channel no longer."""
        self._drop(asked.channel)
        self._session.send(wire.unsubscribed(asked.channel))

    def acknowledge(self, ack: Ack) -> None:
        """ACK: note what a follower did with a signal."""
        for each in self._subscriptions:
            if each.name == ack.channel:
                each.acknowledge(ack)

    def publish(self, asked: Publish) -> None:
        """PUBLISH: set a position; the answer follows when it is on disk."""
        self._demand("publish", asked.channel)
        if self._publishing is None:
            self._publishing = Publishing(self._session, self._signals)
        done = self._publishing.publish(asked)
        self._unanswered += 1
        done.addCallbacks(
            self._stored, self._not_stored, callbackArgs=(asked.id,), errbackArgs=(asked,)
        )
        done.addErrback(lambda failure: self.log.failure("PUBLISH failed.", failure))

    def _stored(self, seq: int, id: str) -> None:
        self._unanswered -= 1
        self._session.send(wire.stored(id, seq))
        self._session.check_finished()

    def _not_stored(self, failure: Failure, asked: Publish) -> None:
        self._unanswered -= 1
        if not isinstance(failure.value, WireError):
            failure.raiseException()
        message = Message("", {"id": asked.id, "channel": asked.channel})
        self._session.refuse(failure.value, message)
        self._session.check_finished()

    def _find(self, name: str) -> Channel:
        """Find a channel to follow; the right to publish in it suffices."""
        if not self._session.peer.may("publish", name, SIGNALS):
            self._demand("follow", name)
        try:
            return self._signals.channel(name)
        except WireError:
            self._note_refused("follow", name)
            raise

    def _unreadable(self, channel: str) -> None:
        # A client that stays, and follows nothing, would not ask again; one that is closed does.
        text = f"{channel} cannot be read at this moment; come back with after"
        self._session.close_with(messages.error("server", text, channel=channel))

    def _drop(self, channel: str) -> None:
        former = self._subscriptions
        self._subscriptions = tuple(each for each in former if each.name != channel)
        for each in former:
            if each.name == channel:
                each.stop()

    def _end_publishing(self, bye: bool) -> None:
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            publishing.end(bye)

    def _demand(self, verb: str, channel: str) -> None:
        if not self._session.peer.may(verb, channel, SIGNALS):
            self._note_refused(verb, channel)
            who = self._session.login or "This connection"
            raise WireError("denied", f"{who} may not {verb} {channel}")

    def _note_refused(self, verb: str, channel: str) -> None:
        self._refused = self._refused or {}
        if len(self._refused) < MAX_REFUSED:
            self._refused[channel, verb] = None

    def _is_open(self, channel: str, verb: str) -> bool:
        """Return whether a channel that was refused may be asked for now."""
        if verb == "follow":
            return self._may_follow(channel) and self._signals.is_named(channel)
        return self._session.peer.may(verb, channel, SIGNALS)

    def _may_follow(self, channel: str) -> bool:
        may = self._session.peer.may
        return may("follow", channel, SIGNALS) or may("publish", channel, SIGNALS)

    def _witness(self) -> str:
        """Name the client if its claims on the history of a channel count; else nothing."""
        session = self._session
        if session.peer.identity is None and not session.peer.trusted:
            return ""
        names = [session.name, session.login, session.address]
        return f"the follower ({', '.join(filter(None, names))})"


class Publishing:
    """
    The publisher of one session.

    Attributes:
        channels: those that it published in, at most `MAX_PUBLISHED`.
    """

    __slots__ = ("_publisher", "_session", "_signals", "channels")

    def __init__(self, session: Session, signals: SignalService) -> None:
        self._session, self._signals = session, signals
        self._publisher: Publisher | None = None
        self.channels: set[str] = set()

    def publish(self, asked: Publish) -> "Deferred[int]":
        """
        Hand in a signal; fires with the seq of its entry.

        Raises, or fails with:
            WireError: as `SignalService.publish`.
        """
        self._note(asked.channel)
        if self._publisher is None:
            self._publisher = self._join()
        draft = Entry(
            asked.channel,
            asked.symbol,
            asked.volume,
            self._session.now(),
            asked.ticket,
            asked.id,
            asked.type,
            asked.fields,
        )
        return self._signals.publish(self._publisher, draft, asked.take)

    def end(self, bye: bool) -> None:
        """Release what the publisher owns; `bye` = for good."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._signals.leave(publisher, bye)

    def _join(self) -> Publisher:
        return self._signals.join(
            self._session.address,
            self._session.throttle.producer("disk"),
            fence=self._fenced,
            who=PublisherId(self._session.login, self._session.name),
        )

    def _note(self, channel: str) -> None:
        """Remember a channel; send, once, how it is paused."""
        if channel in self.channels or len(self.channels) >= MAX_PUBLISHED:
            return
        self.channels.add(channel)
        mode = self._signals.mode(channel)
        if mode is not None:
            self._session.send(wire.paused(channel, mode))

    def _fenced(self, channel: str) -> None:
        text = f"A newer publisher sets {channel}; say HELLO anew to take it over"
        self._session.send(messages.error("fenced", text, channel=channel))


@implementer(ISessionVerbs)
class SignalVerbs:
    """Attaches the verbs of signals to sessions."""

    verbs: ClassVar[Mapping[str, Verb]] = {
        "SUBSCRIBE": Verb(wire.REQUESTS["SUBSCRIBE"], SignalClient.subscribe),
        "UNSUBSCRIBE": Verb(wire.REQUESTS["UNSUBSCRIBE"], SignalClient.unsubscribe),
        "PUBLISH": Verb(wire.REQUESTS["PUBLISH"], SignalClient.publish),
        "ACK": Verb(wire.REQUESTS["ACK"], SignalClient.acknowledge),
    }

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

    def attach(self, session: Session) -> SignalClient:
        """Return the handler of the verbs in one session."""
        return SignalClient(session, self._signals)
