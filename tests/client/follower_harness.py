"""A follower, a server that says what it is told to, and what both say."""

from decimal import Decimal

from fakes import entries
from fakes.servers import DialectServer
from fakes.transports import MemoryEndpoint
from twisted.internet.task import Clock

from mtnet.client import Follower
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.requests import Subscribe
from mtnet.session import messages
from mtnet.session.messages import Hello

EPOCH, OTHER = "00000000000000aa", "00000000000000bb"


class Server(DialectServer):
    """
    Attributes:
        answer: returns what SUBSCRIBE is answered.
        services: that WELCOME names; None = as an older server.
        asked: every SUBSCRIBE, oldest first.
    """

    def __init__(self):
        self.asked, self.answer = [], lambda asked: snapshot(0)
        self.services = None

    def takes(self, session, request):
        if isinstance(request, Hello):
            session.say(messages.welcome(5.0, 1, self.services, epoch=EPOCH))
        elif isinstance(request, Subscribe):
            self.asked.append(request)
            session.say(self.answer(request))


class Harness:
    """A follower, its server, and what it was told."""

    def __init__(self):
        self.clock, self.server = Clock(), Server()
        self.line = MemoryEndpoint(self.server, self.clock)
        self.told = []

    def follow(self, stop_at="", **options):
        """Follow; stop in the callback that is called `stop_at`."""

        def note(name):
            def called(*told):
                self.told.append((name, *told))
                if name == stop_at:
                    self.follower.stopService().addCallback(lambda _: self.told.append("stopped"))

            return called

        names = (
            "snapshot", "signal", "synced", "blind", "provider", "epoch", "unfollowed", "paused",
            "flattened", "notice", "error",
        )  # fmt: skip
        callbacks = {f"on_{name}": note(name) for name in names}
        self.follower = Follower(self.line, self.clock, **callbacks, **options)
        self.follower.startService()
        self.line.settle()
        return self.follower

    def say(self, *frames):
        self.line.connection.server.protocol.transport.write(b"".join(frames))
        self.line.settle()

    def reconnect(self):
        self.line.connection.cut()
        self.clock.advance(30)
        self.line.settle()

    @property
    def names(self):
        return [each if isinstance(each, str) else each[0] for each in self.told]


def signal(seq, symbol="A", volume="1", **more):
    return entries.signal("main", seq, symbol, Decimal(volume), 1, **more)


def entry(symbol, volume="1", channel="main"):
    return answers.Entry(channel, 1, symbol, Decimal(volume), 1)


def snapshot(seq, *symbols, epoch=EPOCH, h="", diverged=False):
    shown = [entries.position("main", seq, each, Decimal(1), 1) for each in symbols]
    head = answers.snapshot("main", epoch, seq, len(shown), diverged)
    return b"".join([head, *shown, answers.synced("main", epoch, seq, h)])


def synced():
    return answers.synced("main", EPOCH, 6, "")


def held(follower):
    return {symbol: str(each.volume) for (symbol, _), each in follower.positions.items()}


KNOWN = {"epoch": EPOCH, "seq": 6, "h": "0000beef", "kept_for": "main"}
