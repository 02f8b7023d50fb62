"""Sessions in memory with the verbs of all components, and a tick port beside them."""

from fakes.daemon import PASSWORD, FakeDaemon

from mtnet.interfaces import ITicks
from mtnet.services.ticks.verbs import wire
from mtnet.session import messages
from mtnet.session.grammar import parse, payloads


class Daemon(FakeDaemon):
    """A daemon on loopback, where everybody may do everything."""

    def __init__(self, folder, clock, *sets, **more):
        super().__init__(
            folder, clock, "access.trust_loopback=true", "signals.pace=0", *sets, **more
        )

    def session(self, *frames, login="", **addresses):
        """Dial the signals port and say HELLO; what was answered is forgotten."""
        terminal = self.dial("signals", **(addresses or {"peer": "127.0.0.1"}))
        password = PASSWORD if login else ""
        answer = self.say(terminal, messages.hello(login=login, password=password))
        assert answer.startswith(b"<<WELCOME"), answer
        terminal.send(b"".join(frames))
        return terminal

    def feed(self, *lines, source="desk"):
        """Take ticks at once, as the tick port does."""
        ticks = self.env.find(ITicks)
        records = [tuple(line.encode().split(b" ", 1)) for line in lines]
        ticks.take(ticks.source(source), records, self.env.now())
        self.clock.advance(0)


def told(terminal):
    """Return the payloads that were written since the last call."""
    return [payload.decode() for payload in payloads(terminal.received())]


def parsed(data):
    """Return the messages of frames."""
    return [parse(payload) for payload in payloads(data)]


def answers(terminal):
    """Return what was written since the last call, as the values of ticks."""
    found = [each for each in parsed(terminal.received()) if each.verb in wire.ANSWERS]
    return [wire.ANSWERS[each.verb](each) for each in found]
