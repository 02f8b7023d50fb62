"""The verbs of signals in a session: PUBLISH, SUBSCRIBE, UNSUBSCRIBE, ACK, REPORT and SPEC."""

from collections.abc import Collection, Mapping
from typing import ClassVar, TypeVar

from msgspec.structs import replace
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.interfaces import ISessionHandler, ISessionVerbs
from mtnet.net.output.queue import Encoder, SendQueue
from mtnet.services.signals.book import Channel
from mtnet.services.signals.history.catch_up import witness
from mtnet.services.signals.ownership.publishers import Connection, Publisher, PublisherId
from mtnet.services.signals.reports.registry import Reported, TerminalKey
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.reports.verbs import Reporting
from mtnet.services.signals.reports.wire import REQUESTS as REPORTS
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.followers import NOBODY, Follower
from mtnet.services.signals.subscription import Subscription
from mtnet.services.signals.views.alias import MAIN, ShownAsMain
from mtnet.services.signals.wire import answers, requests
from mtnet.services.signals.wire.requests import Ack, Publish, Subscribe, Unsubscribe
from mtnet.session import messages
from mtnet.session.grammar import Message
from mtnet.session.session import Session, SessionFactory, SessionSettings, Verb, always

SIGNALS = "signals"
"""The name of this service in rights."""
MAX_REFUSED = 100
"""Refused channels of a client that are remembered, to offer them when it may have them."""
Request = TypeVar("Request", Subscribe, Unsubscribe, Publish, Ack)
MAX_PUBLISHED = 1_000
"""Channels of a client's signals whose pauses it is sent: as many as there can be."""


def may_use(session: Session) -> bool:
    """Return whether the client of a session has a right in any channel."""
    rights = session.peer.rights
    return rights.any("follow", SIGNALS) or rights.any("publish", SIGNALS)


class ChannelAccess:
    """
    Rights of one session in channels; remembers which were refused, to offer them later.

    Attributes:
        session: the session.
        signals: the service.
        main: the channel that the client means by `main`, a view for some accounts.
    """

    __slots__ = ("_refused", "main", "session", "signals")

    def __init__(self, session: Session, signals: SignalService) -> None:
        self.session, self.signals = session, signals
        self.main = MAIN
        self._refused: dict[tuple[str, str], None] | None = None

    def log_in(self) -> None:
        """Begin, perhaps under another login: `main` is what that login means by it."""
        self.main = self.meaning()
        queue = self.session.queue
        encoder: Encoder | None = (
            queue.encoder.encoder if isinstance(queue.encoder, ShownAsMain) else queue.encoder
        )
        if self.main != MAIN:
            encoder = ShownAsMain(self.main, encoder)
        queue.encoder = encoder
        self.forget_refused()

    def meaning(self) -> str:
        """Return the channel that the client means by `main` now."""
        return self.signals.views.main_of(self.session.login, self.session.peer.host)

    def meant(self, asked: Request) -> Request:
        """Return a request with the channel that the client means by its name."""
        if self.main == MAIN or asked.channel != MAIN:
            return asked
        return replace(asked, channel=self.main)

    def shown(self, channel: str) -> str:
        """Return the name of a channel for the client."""
        return MAIN if channel == self.main else channel

    def may(self, verb: str, channel: str) -> bool:
        """Return whether the client may do something in a channel."""
        return self.session.peer.rights.may(verb, SIGNALS, channel)

    def may_follow(self, channel: str) -> bool:
        """Return whether the client may follow; the right to publish in it suffices."""
        return self.may("follow", channel) or self.may("publish", channel)

    def demand(self, verb: str, channel: str) -> None:
        """
        Check a right.

        Raises:
            WireError: `denied`.
        """
        if not self.session.peer.rights.may(verb, SIGNALS, channel):
            self.note_refused(verb, channel)
            who = self.session.login or "This connection"
            raise WireError("denied", f"{who} may not {verb} {channel}")

    def demand_any(self) -> None:
        """
        Check that there is a right in any channel, which REPORT and SPEC need.

        Raises:
            WireError: `denied`.
        """
        if not may_use(self.session):
            raise WireError("denied", "REPORT and SPEC need a right in a channel of signals")

    def find(self, name: str) -> Channel:
        """
        Find a channel to follow.

        Raises:
            WireError: `denied` or `channel`.
        """
        if not self.may("publish", name):
            self.demand("follow", name)
        self.signals.views.refuse_follow(name)
        try:
            return self.signals.channel(name)
        except WireError:
            self.note_refused("follow", name)
            raise

    @property
    def terminal(self) -> TerminalKey:
        """Login and name of the client, by which it is known when it comes again."""
        session = self.session
        known = session.login or session.peer.trusted
        return TerminalKey(session.login, session.name) if known else NOBODY

    def is_copied_for(self, view: str) -> bool:
        """Return whether a view is made for this client, which says what became of its copies."""
        return self.signals.views.is_follower(view, self.session.login, self.session.name)

    def note_refused(self, verb: str, channel: str) -> None:
        """Remember a refused channel, at most `MAX_REFUSED`."""
        self._refused = self._refused or {}
        if len(self._refused) < MAX_REFUSED:
            self._refused[channel, verb] = None

    def forget_refused(self) -> None:
        """Forget which channels were refused."""
        self._refused = None

    def offer(self, channels: Collection[str] | None = None) -> None:
        """Name the channels that were refused and are open now; of `channels`, None = of all."""
        refused = self._refused or {}
        asked = [each for each in refused if channels is None or each[0] in channels]
        granted = [each for each in asked if self._is_open(*each)]
        for each in granted:
            del refused[each]
        if granted:
            self.session.send(answers.channels({self.shown(channel) for channel, _ in granted}))

    def _is_open(self, channel: str, verb: str) -> bool:
        if verb == "follow":
            return self.may_follow(channel) and self.signals.channels.is_named(channel)
        return self.may(verb, channel)


class Subscriptions:
    """
    SUBSCRIBE, UNSUBSCRIBE and ACK of one session.

    Args:
        connection: for the status.

    Attributes:
        each: the subscriptions, mostly one.
    """

    __slots__ = ("_access", "_connection", "each")

    def __init__(self, access: ChannelAccess, connection: Connection) -> None:
        self._access, self._connection = access, connection
        self.each: tuple[Subscription, ...] = ()

    def log_in(self) -> None:
        """Follow as whom the client has logged in now; end what that one may not have."""
        for each in self.each:
            if not self._access.may_follow(each.name):
                self.drop(each.name)
            elif not each.observes and each.follower.key != self._access.terminal:
                self._access.signals.channels.followers.forget(each.follower)
                each.follow_as(self._join(each.name))

    def _follower(self, channel: str, asked: Subscribe, former: list[Subscription]) -> Follower:
        """Return who follows now: the one of before, unless it only observed, or did not."""
        for each in former:
            if each.observes == asked.observe:
                return each.follower
            self._access.signals.channels.followers.forget(each.follower)
        if asked.observe:
            access, session = self._access, self._access.session
            followers = access.signals.channels.followers
            return followers.observer(channel, session.address, session.now())
        return self._join(channel)

    def _join(self, channel: str) -> Follower:
        access, session = self._access, self._access.session
        return access.signals.channels.followers.join(
            channel, *access.terminal, session.address, self._connection, session.now()
        )

    def subscribe(self, asked: Subscribe) -> None:
        """SUBSCRIBE: follow a channel, or change the filter."""
        access = self._access
        asked = access.meant(asked)
        channel = access.find(asked.channel)
        # The name that the channel has already: each message brings a copy of its own.
        follower = self._follower(channel.name, asked, self._end(channel.name))
        queue = access.session.queue
        subscription = Subscription(access.signals, channel, asked.symbols, queue, follower)
        self.each += (subscription,)
        subscription.start(asked, self._witness(), lambda: self.end_unreadable(channel.name))

    def unsubscribe(self, asked: Unsubscribe) -> None:
        """UNSUBSCRIBE: follow a channel no longer."""
        self.drop(self._access.meant(asked).channel)
        self._access.session.send(answers.unsubscribed(asked.channel))

    def acknowledge(self, ack: Ack) -> None:
        """ACK: note the result of a signal at the follower."""
        ack = self._access.meant(ack)
        for each in self.of(ack.channel):
            each.acknowledge(ack, self._access.session.now())
            if self._access.is_copied_for(ack.channel):
                self._access.signals.acknowledge_copy(ack)

    def of(self, channel: str) -> list[Subscription]:
        """Return the subscription to a channel, if there is one."""
        return [each for each in self.each if each.name == channel]

    def renew(self, channel: str) -> None:
        """Send the whole of a channel again, if the client follows it."""
        for each in self.of(channel):
            self.subscribe(Subscribe(channel, each.symbols, observe=each.observes))

    def drop(self, channel: str) -> None:
        """End the subscription to a channel."""
        for each in self._end(channel):
            self._access.signals.channels.followers.forget(each.follower)

    def drop_all(self, bye: bool) -> None:
        """End all of them, since the client has gone; `bye` = it said so."""
        ended, self.each = self.each, ()
        followers = self._access.signals.channels.followers
        for each in ended:
            followers.leave(each.follower, self._access.session.now(), bye)
            each.stop()

    def _end(self, channel: str) -> list[Subscription]:
        ended = self.of(channel)
        self.each = tuple(each for each in self.each if each.name != channel)
        for each in ended:
            each.stop()
        return ended

    def end_unreadable(self, channel: str) -> None:
        """End the session, because nothing more can be told of a channel."""
        channel = self._access.shown(channel)
        # A client that stays, and follows nothing, would not ask again; one that is closed does.
        text = f"{channel} cannot be read at present; reconnect and name the last entry with after"
        self._access.session.close_with(messages.error("server", text, channel=channel), "server")

    def _witness(self) -> str:
        """Name the client if its claims on the history of a channel count; else nothing."""
        session = self._access.session
        known = session.peer.identity is not None or session.peer.trusted
        return witness(known, session.name, session.login, session.address)


class Publishing:
    """
    PUBLISH of one session.

    Attributes:
        channels: those that it published in under its login, at most `MAX_PUBLISHED`.
        unanswered: how many signals wait for the disk.
    """

    __slots__ = ("_access", "_connection", "_publisher", "channels", "unanswered")

    log = Logger()

    def __init__(self, access: ChannelAccess, connection: Connection) -> None:
        self._access, self._connection = access, connection
        self._publisher: Publisher | None = None
        self.channels: set[str] = set()
        self.unanswered = 0

    def publish(self, asked: Publish) -> None:
        """
        PUBLISH: set a position; the answer follows when it is on disk.

        Raises:
            WireError: as `SignalService.publish`, or `denied`.
        """
        access = self._access
        asked = access.meant(asked)
        access.demand("publish", asked.channel)
        if asked.channel not in self.channels:
            self._note(asked.channel)
        if self._publisher is None:
            self._publisher = self._join()
        draft = asked.draft(asked.channel, access.session.now(), asked.id)
        done = access.signals.publish(self._publisher, draft, asked.take)
        self.unanswered += 1
        done.addCallbacks(
            self._stored, self._not_stored, callbackArgs=(asked.id,), errbackArgs=(asked,)
        )

    def end(self, bye: bool) -> None:
        """Release the symbols and channels of the publisher; `bye` = for good."""
        publisher, self._publisher = self._publisher, None
        self.channels.clear()
        if publisher is not None:
            self._access.signals.leave(publisher, bye)

    def _stored(self, seq: int, id: str) -> None:
        self.unanswered -= 1
        self._access.session.answer(answers.stored(id, seq))

    def _not_stored(self, failure: Failure, asked: Publish) -> None:
        self.unanswered -= 1
        if not isinstance(failure.value, WireError):
            self.log.failure("PUBLISH failed.", failure)
            return
        message = Message("", {"id": asked.id, "channel": asked.channel})
        self._access.session.refuse(failure.value, message)
        self._access.session.check_finished()

    def _join(self) -> Publisher:
        session = self._access.session
        publisher = self._access.signals.join(
            session.address,
            session.throttle.producer("disk"),
            fence=self._fenced,
            who=PublisherId(session.login, session.name),
        )
        publisher.connection = self._connection
        return publisher

    def _note(self, channel: str) -> None:
        """Remember a channel; send, once, how it is paused."""
        if len(self.channels) >= MAX_PUBLISHED:
            return
        self.channels.add(channel)
        mode = self._access.signals.rules.pause_mode(channel)
        if mode is not None:
            self._access.session.send(answers.paused(channel, mode))

    def _fenced(self, channel: str) -> None:
        text = f"A newer publisher sets {channel}; send HELLO again to take it over"
        self._access.session.send(messages.error("fenced", text, channel=channel))


@implementer(ISessionHandler)
class SignalClient:
    """
    The verbs of signals in one session.

    Attributes:
        subscriptions: those of the client.
    """

    __slots__ = (
        "_access", "_publishing", "_reporting", "_store", "subscriptions",
    )  # fmt: skip

    def __init__(self, access: ChannelAccess, store: ReportStore) -> None:
        self._access, self.subscriptions, self._store = access, Subscriptions(access, self), store
        self._publishing: Publishing | None = None
        self._reporting: Reporting | None = None

    # The session

    def welcomed(self) -> dict[str, str]:
        before = self._access.main
        self._access.log_in()
        if before != self._access.main:
            for each in (before, self._access.main):  # its frames would name it as before
                self.subscriptions.drop(each)
        self.subscriptions.log_in()
        epoch = self._access.signals.channels.epoch(self._access.main)
        self._end_publishing(True)  # a publisher that was fenced starts again
        self._reporting = None
        self._access.session.throttle.resume("disk")
        self._access.signals.channels.sessions[self] = None
        return {"epoch": epoch}

    def heartbeat(self) -> dict[str, str]:
        shown = self._access.shown
        seqs = {shown(each.name): each.position for each in self.subscriptions.each if each.live}
        return {"seqs": answers.join_seqs(seqs)} if seqs else {}

    def rights_gained(self) -> None:
        self._access.offer()

    def busy(self) -> bool:
        unanswered = self._publishing is not None and self._publishing.unanswered
        return bool(unanswered or self.subscriptions.each)

    def leaving(self) -> None:
        self.subscriptions.drop_all(True)

    def closed(self, bye: bool) -> None:
        self.subscriptions.drop_all(bye)
        self._access.signals.channels.sessions.pop(self, None)
        self._end_publishing(bye)

    # The status

    @property
    def client(self) -> str:
        return self._access.session.client

    @property
    def heard(self) -> float:
        return self._access.session.last_heard

    @property
    def output(self) -> SendQueue:
        return self._access.session.queue

    @property
    def reported(self) -> Reported | None:
        return None if self._reporting is None else self._reporting.reported

    # The service

    def renew(self, channel: str) -> None:
        """Send the whole of a channel again, if the client follows it."""
        self.subscriptions.renew(channel)

    def announce(self, channel: str, frame: bytes) -> None:
        """Send news of a channel in which the client published; followers get it by the fan-out."""
        following = self.subscriptions.of(channel)
        published = self._publishing is not None and channel in self._publishing.channels
        # A follower that is still catching up is not in the fan-out yet.
        if any(not each.live for each in following) or (not following and published):
            self._access.session.send(frame)

    def recheck(self) -> None:
        """End the session, if `main` is another channel now, or a view that it follows is lost."""
        access = self._access
        if access.main != access.meaning():
            text = "The channel main is another one for this login now; connect again"
            access.session.close_with(messages.error("server", text, channel=MAIN), "server")
        for each in self.subscriptions.each:
            if access.signals.is_lost(each.name):
                self.subscriptions.end_unreadable(each.name)

    def offer(self, channels: Collection[str]) -> None:
        """Name the channels of these that the client was refused before and may have now."""
        self._access.offer(channels)

    def notify(self, notice: bytes) -> None:
        """Send a NOTICE."""
        self._access.session.send(notice)

    def report(self) -> Mapping[str, object]:
        """Return who the client is and how far it is, for `mtnet signals status`."""
        session = self._access.session
        channels = {each.name: each.report(session.now()) for each in self.subscriptions.each}
        report = {} if self._reporting is None else self._reporting.shown
        return {**session.report(), "channels": channels, "report": report}

    @property
    def publishing(self) -> Publishing:
        """PUBLISH of the client."""
        if self._publishing is None:
            self._publishing = Publishing(self._access, self)
        return self._publishing

    @property
    def reporting(self) -> Reporting:
        """REPORT and SPEC of the client; raises as `ChannelAccess.demand_any`."""
        self._access.demand_any()
        if self._reporting is None:
            self._reporting = Reporting(self._access.session, self._store)
        return self._reporting

    def _end_publishing(self, bye: bool) -> None:
        if self._publishing is not None:
            self._publishing.end(bye)


def _subscribe(client: SignalClient, asked: Subscribe) -> None:
    client.subscriptions.subscribe(asked)


def _observes(asked: Subscribe) -> bool:
    return asked.observe


def _unsubscribe(client: SignalClient, asked: Unsubscribe) -> None:
    client.subscriptions.unsubscribe(asked)


def _publish(client: SignalClient, asked: Publish) -> None:
    client.publishing.publish(asked)


def _acknowledge(client: SignalClient, ack: Ack) -> None:
    client.subscriptions.acknowledge(ack)


def _report(client: SignalClient, report: Report) -> None:
    client.reporting.report(report)


def _describe(client: SignalClient, spec: Spec) -> None:
    client.reporting.describe(spec)


@implementer(ISessionVerbs)
class SignalVerbs:
    """
    Attaches the verbs of signals to sessions.

    Args:
        store: remembers what terminals tell about themselves.
    """

    service, every_session = SIGNALS, True
    verbs: ClassVar[Mapping[str, Verb]] = {
        "SUBSCRIBE": Verb(requests.REQUESTS["SUBSCRIBE"], _subscribe, _observes),
        "UNSUBSCRIBE": Verb(requests.REQUESTS["UNSUBSCRIBE"], _unsubscribe, always),
        "PUBLISH": Verb(requests.REQUESTS["PUBLISH"], _publish),
        "ACK": Verb(requests.REQUESTS["ACK"], _acknowledge),
        "REPORT": Verb(REPORTS["REPORT"], _report),
        "SPEC": Verb(REPORTS["SPEC"], _describe),
    }

    def __init__(self, signals: SignalService, store: ReportStore) -> None:
        self._signals, self._store = signals, store

    def permitted(self, session: Session) -> bool:
        """Return whether the client has a right in any channel."""
        return may_use(session)

    def attach(self, session: Session) -> SignalClient:
        """Return the handler of the verbs in one session."""
        return SignalClient(ChannelAccess(session, self._signals), self._store)


def open_sessions(env: Environment) -> SessionFactory:
    """Return the factory of sessions, which `[signals]` limits; it has no verbs yet."""
    own = env.section
    settings = SessionSettings(own.heartbeat, own.queue, own.errors, own.codepage, own.frames)
    return SessionFactory(settings, env.clock, env.now.time)
