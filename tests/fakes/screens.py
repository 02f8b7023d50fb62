"""Those who watch the status, by what they are sent."""

import json

from fakes.daemon import PASSWORD

from mtnet.services.status import wire
from mtnet.services.status.rows import apply
from mtnet.session import messages
from mtnet.session.grammar import MAX_SESSION_FRAME, parse, payloads


class Screen:
    """A client that watches over frames, and what it knows by STATE and CHANGED."""

    def __init__(self, daemon, login):
        self.daemon, self.parts, self.answers, self._pieces = daemon, {}, [], []
        self.terminal = daemon.dial("signals")
        self.say(messages.hello(login=login, password=PASSWORD))

    def say(self, frames):
        self.terminal.send(frames)
        self.daemon.clock.advance(0)
        return self.read()

    def watch(self, *what):
        return self.say(wire.watch(what))

    def read(self):
        """Take what was sent; return the verbs."""
        data, verbs = self.terminal.received(), []
        for frame in data.split(b"\r\n")[:-1]:
            assert len(frame) + 2 <= MAX_SESSION_FRAME
        for payload in payloads(data):
            message = parse(payload)
            verbs.append(message.verb)
            self.take(message)
        return verbs

    def take(self, message):
        if message.verb not in ("STATE", "CHANGED"):
            self.answers.append(message.fields)
            return
        shown = wire.ANSWERS[message.verb](message)
        self._pieces.append(shown.data)
        assert len(self._pieces) == shown.part
        if shown.part == shown.parts:
            data, self._pieces = json.loads("".join(self._pieces)), []
            before = {} if message.verb == "STATE" else self.parts[shown.what]
            self.parts[shown.what] = apply(before, data)
