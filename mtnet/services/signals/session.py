"""One client that has said HELLO: dialect 2, from WELCOME to the end."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.access.accounts.cred import Password
from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, PolicyError, WireError
from mtnet.net.endpoints import show
from mtnet.net.output.queue import SendQueue
from mtnet.net.peer import Peer
from mtnet.net.throttle import ReadThrottle
from mtnet.net.timer_wheel import Slot
from mtnet.net.transport import Transport
from mtnet.services.signals import wire
from mtnet.services.signals.book import Channel
from mtnet.services.signals.model import Entry
from mtnet.services.signals.publishers import Publisher, PublisherId
from mtnet.services.signals.subscription import Subscription
from mtnet.services.signals.wire import Ack, Publish, Subscribe, Unsubscribe, read_request
from mtnet.session import messages
from mtnet.session.grammar import Message, is_login, parse, salvage
from mtnet.session.messages import Bye, Hello, Ping, Pong

SIGNALS = "signals"
"""What rights call the things of this service."""
MISSED = 3
"""Heartbeats with nothing received before a client is gone."""
WINDOW = 60.0
"""Seconds in which `signals.errors` are counted."""
REFUSED = 100
"""Channels that a client was refused of which it is told when it may have them."""
PUBLISHED = 1_000
"""Channels of a client's signals in which it is told of pauses: as many as there can be."""
SOON = 0.001
"""Seconds by which a timer may be early: sums of floats differ."""


class Session:
    """
    Args:
        peer: who it is, and what it may do.
        throttle: leaves the connection unread.
        end: closes the connection behind what is on its way.
    """

    __slots__ = (
        "_behind", "_client", "_closed", "_end", "_env", "_errors", "_errors_since", "_finishing",
        "_greeted", "_heard", "_missed", "_name", "_parted", "_peer", "_pinged", "_published",
        "_publisher", "_refused", "_send_queue", "_settings", "_signals", "_slot",
        "_subscriptions", "_throttle", "_transport", "_unanswered",
    )  # fmt: skip

    log = Logger()

    def __init__(
        self,
        env: Environment,
        transport: Transport,
        peer: Peer,
        throttle: ReadThrottle,
        end: Callable[[], None],
    ) -> None:
        self._env, self._signals, self._settings = env, env.signals, env.config.signals
        self._transport, self._peer = transport, peer
        self._throttle, self._end = throttle, end
        self._behind: list[bytes] | None = None
        self._send_queue = SendQueue(transport, env.clock, self._settings.queue, self._overflow)
        self._subscriptions: tuple[Subscription, ...] = ()  # mostly one
        self._publisher: Publisher | None = None
        self._published: set[str] = set()
        self._refused: dict[tuple[str, str], None] = {}
        self._greeted, self._name, self._client = False, "", ""
        self._unanswered = 0
        self._finishing = self._parted = False
        self._heard = env.clock.seconds()
        self._pinged, self._missed = self._heard, 0
        self._errors, self._errors_since = 0, 0.0
        self._closed = False
        self._slot: Slot | None = None
        peer.on_rights_gained(self._gained)

    def frame(self, payload: bytes) -> None:
        """Take what the client said."""
        if self._closed or self._parted:
            return
        if self._behind is not None:
            self._behind.append(payload)
            return
        self._heard, self._missed = self._env.clock.seconds(), 0
        message: Message | None = None
        try:
            if is_login(payload):
                self._peer.check_private()
            message = parse(payload, self._settings.codepage)
            request = read_request(message)
            if not self._greeted and not isinstance(request, Hello):
                raise WireError("verb", "A client says HELLO first")
            self._verbs[type(request)](self, request)
        except WireError as error:
            self._refuse(error, message or salvage(payload))

    def unreadable(self, error: WireError) -> None:
        """The stream holds no frame; say so, and close."""
        if b"HELLO" in error.offending.upper():
            error = FrameError(error.code, "A frame of this length is none")
        self._refuse(error, None)

    def leave(self) -> None:
        """Close because others need the place, or because the account may do less now."""
        self._close_with(b"")

    def renew(self, channel: str) -> None:
        """Send a channel anew to a client that follows it: it has another epoch now."""
        for each in self._subscriptions:
            if each.name == channel:
                self._subscribe(Subscribe(channel, each.symbols))

    def announce(self, channel: str, frame: bytes) -> None:
        """Send news of a channel in which it published; the audience tells those who follow."""
        following = [each for each in self._subscriptions if each.name == channel]
        # Who is not caught up yet is not told by the audience.
        if any(not each.live for each in following) or (
            not following and channel in self._published
        ):
            self._send(frame)

    def offer(self, channels: Collection[str]) -> None:
        """Say which of these channels it may ask for, of those that it was refused."""
        asked = [each for each in self._refused if each[0] in channels]
        now = [each for each in asked if self._is_open(*each)]
        for each in now:
            del self._refused[each]
        if now:
            self._send(wire.channels({channel for channel, _ in now}))

    def _gained(self) -> None:
        """It may do more than before."""
        self.offer({channel for channel, _ in self._refused})

    def finished(self) -> None:
        """The client has said all: what it still waits for is answered."""
        self._finishing = True
        self._finish()

    def close(self) -> None:
        """The connection is gone."""
        self._closed = True
        if self._slot is not None:
            self._signals.timer_wheel.discard(self, self._slot)
            self._slot = None
        self._drop_all()
        self._signals.sessions.pop(self, None)
        self._leave(self._parted)
        self._send_queue.close()

    def report(self) -> Mapping[str, object]:
        """Say for `mtnet signals status` who it is and how far it is."""
        identity, now = self._peer.identity, self._env.now()
        return {
            "peer": show(self._transport.getPeer()),
            "login": "" if identity is None else identity.name,
            "name": self._name,
            "client": self._client,
            "channels": {each.name: each.report(now) for each in self._subscriptions},
        }

    # What the client says

    def _hello(self, said: Hello) -> None:
        if said.login:
            self._log_in(said)
        elif self._peer.rights.any("follow", SIGNALS) or self._peer.rights.any("publish", SIGNALS):
            self._welcome(said)
        else:
            self._peer.hello_refused("no-login")
            raise WireError("login", "HELLO needs a login and a password here")

    def _log_in(self, said: Hello) -> None:
        """Find out who it is; what stands behind HELLO waits for that."""
        login = self._peer.login(Password.decode(said.login, said.password))
        if not login.called:
            self._behind = []
            self._throttle.pause("login")
        login.addCallbacks(lambda _: self._welcome(said), self._unknown)
        login.addErrback(lambda failure: self.log.failure("A login went wrong.", failure))
        login.addBoth(self._go_on)

    def _unknown(self, failure: Failure) -> None:
        failure.trap(WireError, CancelledError)
        if isinstance(failure.value, WireError):
            self._refuse(failure.value, Message("HELLO", {}))

    def _go_on(self, _: object) -> None:
        behind, self._behind = self._behind, None
        for payload in behind or ():
            self.frame(payload)
        if not self._closed:
            self._throttle.resume("login")
            self._finish()

    def _welcome(self, said: Hello) -> None:
        if self._closed:
            return
        for each in self._subscriptions:
            if not (self._may("follow", each.name) or self._may("publish", each.name)):
                # it is somebody else now
                self._drop(each.name)
        epoch = self._signals.epoch("main")
        self._leave(True)  # whoever was fenced begins anew
        self._published, self._refused = set(), {}
        self._throttle.resume("disk")
        if not self._greeted:
            self._greeted = True
            self._peer.mark_active()
            self._signals.sessions[self] = None
            self._wait()
        self._name, self._client = said.name, said.client  # and no password
        self._send(messages.welcome(self._settings.heartbeat, self._env.now(), epoch=epoch))

    def _subscribe(self, asked: Subscribe) -> None:
        channel = self._follow(asked.channel)
        self._drop(asked.channel)
        subscription = Subscription(self._signals, channel, asked.symbols, self._send_queue)
        self._subscriptions += (subscription,)
        subscription.start(asked, self._witness(), lambda: self._lost(asked.channel))

    def _follow(self, name: str) -> Channel:
        """Find a channel; whoever may publish in it may follow it."""
        if not self._may("publish", name):
            self._demand("follow", name)
        try:
            return self._signals.channel(name)
        except WireError:
            self._note_refused("follow", name)
            raise

    def _note_refused(self, verb: str, channel: str) -> None:
        if len(self._refused) < REFUSED:
            self._refused[channel, verb] = None

    def _unsubscribe(self, asked: Unsubscribe) -> None:
        self._drop(asked.channel)
        self._send(wire.unsubscribed(asked.channel))

    def _publish(self, asked: Publish) -> None:
        self._demand("publish", asked.channel)
        self._note_published(asked.channel)
        if self._publisher is None:
            self._publisher = self._join()
        draft = Entry(
            asked.channel,
            asked.symbol,
            asked.volume,
            self._env.now(),
            asked.ticket,
            asked.id,
            asked.type,
            asked.fields,
        )
        done = self._signals.publish(self._publisher, draft, asked.take)
        self._unanswered += 1
        done.addCallbacks(
            self._stored, self._unstored, callbackArgs=(asked.id,), errbackArgs=(asked,)
        )
        done.addErrback(lambda failure: self.log.failure("PUBLISH went wrong.", failure))

    def _join(self) -> Publisher:
        identity = self._peer.identity
        return self._signals.join(
            show(self._transport.getPeer()),
            self._throttle.producer("disk"),
            fence=self._fenced,
            who=PublisherId("" if identity is None else identity.name, self._name),
        )

    def _note_published(self, channel: str) -> None:
        """Say, once, how a channel is paused in which it publishes."""
        if channel in self._published or len(self._published) >= PUBLISHED:
            return
        self._published.add(channel)
        mode = self._signals.mode(channel)
        if mode is not None:
            self._send(wire.paused(channel, mode))

    def _stored(self, seq: int, identity: str) -> None:
        self._unanswered -= 1
        self._send(wire.stored(identity, seq))
        self._finish()

    def _unstored(self, failure: Failure, asked: Publish) -> None:
        self._unanswered -= 1
        if not isinstance(failure.value, WireError):
            failure.raiseException()
        self._refuse(failure.value, Message("", {"id": asked.id, "channel": asked.channel}))
        self._finish()

    def _ack(self, ack: Ack) -> None:
        for each in self._subscriptions:
            if each.name == ack.channel:
                each.acknowledge(ack)

    def _ping(self, ping: Ping) -> None:
        self._send(messages.pong(self._env.now(), ping.t))

    def _bye(self, _: Bye) -> None:
        self._parted = True
        self._drop_all()
        self.finished()

    _verbs: ClassVar[dict[type, Callable[["Session", Any], None]]] = {
        Hello: _hello,
        Subscribe: _subscribe,
        Unsubscribe: _unsubscribe,
        Publish: _publish,
        Ack: _ack,
        Ping: _ping,
        Pong: lambda session, _: None,
        Bye: _bye,
    }

    # What the server says by itself

    def _send(self, frame: bytes) -> None:
        self._send_queue.write(frame)

    def _fenced(self, channel: str) -> None:
        text = f"A newer publisher sets {channel}; say HELLO anew to take it over"
        self._send(messages.error("fenced", text, channel=channel))

    def _lost(self, channel: str) -> None:
        # A client that stays, and follows nothing, would not ask again; one that is closed does.
        text = f"{channel} cannot be read at this moment; come back with after"
        self._close_with(messages.error("server", text, channel=channel))

    def _refuse(self, error: WireError, message: Message | None) -> None:
        frame = messages.error_for(error, message)
        greeting = message is not None and message.verb == "HELLO"
        if greeting and error.code in ("field", "frame"):
            self._peer.hello_refused(error.code)
        # What its channel does not take, or our disk, is no error of the client.
        honest = isinstance(error, PolicyError) or error.code == "server"
        if greeting or error.code in messages.CLOSING or (not honest and self._too_many()):
            self._close_with(frame)
        else:
            self._send(frame)

    def _too_many(self) -> bool:
        """Count one more error; say whether that ends the connection."""
        when = self._env.clock.seconds()
        if when - self._errors_since >= WINDOW:
            self._errors, self._errors_since = 0, when
        self._errors += 1
        if self._errors < self._settings.errors:
            return False
        self._peer.report_abuse(Offence.FRAME)
        return True

    def _overflow(self) -> None:
        self._send_queue.clear()
        text = f"More than {self._settings.queue} bytes waited; come back with after"
        self._close_with(messages.error("slow", text))

    def _close_with(self, frame: bytes) -> None:
        if not self._closed:
            self._send_queue.close(frame)
            self.close()
            self._end()

    def _finish(self) -> None:
        waits = self._unanswered or self._subscriptions or self._behind is not None
        if self._finishing and not waits:
            self._close_with(b"")

    # The heartbeat

    def _wait(self) -> None:
        self._slot = self._signals.timer_wheel.add(self, self._due())

    def _due(self) -> float:
        """Return when either side will have been silent for a heartbeat."""
        silent = min(self._heard, self._send_queue.last_write)
        return max(silent, self._pinged) + self._settings.heartbeat

    def fire(self) -> None:
        """Ping, if it is time."""
        when = self._env.clock.seconds()
        if when + SOON >= self._due():
            if self._missed >= MISSED:
                self._close_with(
                    messages.error("timeout", f"Nothing heard for {MISSED} heartbeats")
                )
                return
            self._pinged, self._missed = when, self._missed + 1
            seqs = {each.name: each.position for each in self._subscriptions if each.live}
            told = {"seqs": wire.join_seqs(seqs)} if seqs else {}
            self._send(messages.heartbeat(self._env.now(), **told))
        self._wait()

    # Small things

    def _demand(self, verb: str, channel: str) -> None:
        if not self._may(verb, channel):
            self._note_refused(verb, channel)
            who = self._peer.identity.name if self._peer.identity else "This connection"
            raise WireError("denied", f"{who} may not {verb} {channel}")

    def _witness(self) -> str:
        """Name the client where its word on the history of a channel counts; else nothing."""
        identity, peer = self._peer.identity, show(self._transport.getPeer())
        if identity is None and not self._peer.trusted:
            return ""
        names = [self._name, "" if identity is None else identity.name, peer]
        return f"the follower ({', '.join(filter(None, names))})"

    def _drop(self, channel: str) -> None:
        former = self._subscriptions
        self._subscriptions = tuple(each for each in former if each.name != channel)
        for each in former:
            if each.name == channel:
                each.stop()

    def _drop_all(self) -> None:
        former, self._subscriptions = self._subscriptions, ()
        for each in former:
            each.stop()

    def _leave(self, bye: bool) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._signals.leave(publisher, bye)

    def _is_open(self, channel: str, verb: str) -> bool:
        """Say whether what was refused of a channel may be asked for now."""
        if verb == "follow":
            may = self._may("follow", channel) or self._may("publish", channel)
            return may and self._signals.is_named(channel)
        return self._may(verb, channel)

    def _may(self, verb: str, channel: str) -> bool:
        return self._peer.may(verb, channel, SIGNALS)
