"""A server in memory that answers a publisher as it is told to, and remembers what it stored."""

from decimal import Decimal

from fakes import entries
from fakes.servers import DialectServer
from fakes.transports import MemoryEndpoint
from twisted.internet.task import Clock

from mtnet.client import Publisher
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.requests import Publish, Subscribe
from mtnet.session import messages
from mtnet.session.messages import Bye, Hello

EPOCH = "0123456789abcdef"


class FakeServer(DialectServer):
    """
    The server.

    Attributes:
        answer: what becomes of a PUBLISH: `store`, `twice` (and its answer comes twice), `silent`
            (stored, not answered), `server`, or the code of another refusal.
        stored: by id, the number of its entry and what it set.
        order: ids as they were stored.
        heard: every request, oldest first.
        book: what SUBSCRIBE shows, (symbol, ticket) → volume and the fields of POSITION; None =
            it is answered by ERROR channel.
        mode: of a pause, or None.
        followers: sessions that have subscribed.
    """

    def __init__(self):
        self.answer = "store"
        self.stored, self.order, self.heard = {}, [], []
        self.book = {}
        self.seq, self.mode, self.followers = 0, None, set()

    def takes(self, session, request):
        self.heard.append(request)
        if isinstance(request, Hello):
            session.say(messages.welcome(5.0, 1, epoch=EPOCH))
        elif isinstance(request, Subscribe):
            self.subscribe(session)
        elif isinstance(request, Publish):
            self.publish(session, request)

    def subscribe(self, session):
        if self.book is None:
            session.say(messages.error("channel", "There is no main.", None, "main"))
            return
        shown = [
            entries.position("main", self.seq, symbol, volume, 1, ticket, **more)
            for (symbol, ticket), (volume, more) in self.book.items()
        ]
        head = answers.snapshot("main", EPOCH, self.seq, len(shown))
        session.say(head, *shown, answers.synced("main", EPOCH, self.seq))
        self.followers.add(session)
        if self.mode:
            session.say(answers.paused("main", self.mode))

    def publish(self, session, asked):
        answer = self._judge(asked)
        if answer in ("store", "twice", "silent"):
            news = []
            if asked.id not in self.stored:
                news = self._enter(asked)
                self.stored[asked.id] = self.seq, asked
                self.order.append(asked.id)
            if answer != "silent":
                said = answers.stored(asked.id, self.stored[asked.id][0])
                session.say(*[said] * (2 if answer == "twice" else 1))
            self.tell(*news)
        else:
            said = messages.error(answer, "It is refused.", asked.id, "main")
            session.say(*[said] * (2 if answer == "server" else 1))

    def _judge(self, asked):
        if self.mode is None or asked.id in self.stored or self.answer == "server":
            return self.answer
        before = (self.book or {}).get((asked.symbol, asked.ticket), (0, {}))[0]
        reduces = before * asked.volume >= 0 and abs(asked.volume) <= abs(before)
        return "denied" if self.mode == "frozen" or not reduces else self.answer

    def _enter(self, asked):
        """Store a signal; return the news of it."""
        if self.book is None:
            self.book = {}
        self.seq += 1
        if asked.volume:
            self.book[asked.symbol, asked.ticket] = (
                asked.volume,
                {"type": asked.type, "fields": asked.fields},
            )
        else:
            self.book = {
                key: each
                for key, each in self.book.items()
                if key[0] != asked.symbol or asked.ticket not in ("", key[1])
            }
        ticket, kind = asked.ticket, asked.type
        return [
            entries.signal(
                "main", self.seq, asked.symbol, asked.volume, 1, ticket, kind, asked.fields
            )
        ]

    def tell(self, *frames):
        """Tell everybody who follows."""
        for session in self.followers:
            session.say(*frames)

    def pause(self, mode):
        """Pause, or with None resume."""
        self.mode = mode
        self.tell(answers.paused("main", mode) if mode else answers.resumed("main"))

    def flatten(self):
        """Close everything, and pause."""
        self.mode = "close_only"
        for symbol, ticket in list(self.book or {}):
            self.tell(*self._enter(Publish("", symbol, Decimal(0), ticket=ticket)))
        self.tell(answers.flattened("main"), answers.paused("main", "close_only"))

    @property
    def published(self):
        """Return what was published, as text."""
        return [
            f"{each.symbol}{each.ticket and '/' + each.ticket} {each.volume:f}"
            for each in self.heard
            if isinstance(each, Publish)
        ]


class Harness:
    """A publisher and its server."""

    def __init__(self, **options):
        self.clock, self.server = Clock(), FakeServer()
        self.line = MemoryEndpoint(self.server, self.clock)
        self.told, self.answered = [], {}
        self.publisher = Publisher(
            self.line,
            self.clock,
            on_fenced=lambda channel: self.told.append(f"fenced {channel}"),
            on_trouble=lambda text: self.told.append("trouble"),
            on_error=lambda code, text: self.told.append(code),
            on_paused=lambda mode: self.told.append(mode or "resumed"),
            on_flattened=lambda: self.told.append("flattened"),
            on_notice=self.told.append,
            **options,
        )
        self.publisher.startService()

    def publish(self, symbol, volume, **more):
        """Publish; what became of it stands in `answered` under its id."""
        identity = more.setdefault("id", f"n{len(self.answered)}")
        self.answered[identity] = []
        done = self.publisher.publish(symbol, volume, **more)
        done.addBoth(self.answered[identity].append)
        return identity

    def say(self, *frames):
        """Let the server say something by itself."""
        self.line.connection.server.protocol.say(*frames)
        self.settle()

    def settle(self):
        self.line.settle()

    def pass_time(self, seconds):
        for number in range(int(seconds * 2)):
            if number % 8 == 0:
                self.line.connection.server.protocol.say(messages.heartbeat(1))
            self.settle()
            self.clock.advance(0.5)
        self.settle()

    @property
    def ended(self):
        """Return whether the publisher has said BYE."""
        return any(isinstance(each, Bye) for each in self.server.heard)
