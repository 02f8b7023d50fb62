"""A server with a journal on loopback, and what clients of asyncio are asked with."""

import asyncio
from functools import wraps

from publishing import FakeServer

from mtnet.services.signals.values import VOLUME
from mtnet.services.signals.wire import answers, requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages
from mtnet.session.messages import Hello


def asynchronous(test):
    @wraps(test)
    def run(*arguments, **options):
        asyncio.run(asyncio.wait_for(test(*arguments, **options), 20))

    return run


def shown(entry):
    return f"{entry.symbol} {entry.volume:f}"


async def take(entries, count):
    """Return the next entries as text; each is handled when the next is asked for."""
    found = []
    async for entry in entries:
        found.append(shown(entry))
        if len(found) == count:
            entries.handled()
            return found
    return found


class Journal(FakeServer):
    """A server whose SUBSCRIBE is answered by what was missed, or by a snapshot."""

    def __init__(self, **lots):
        super().__init__()
        self.asked, self.entries, self.epoch = [], [], "0123456789abcdef"
        for symbol, volume in lots.items():
            self.enter(symbol, volume)

    def enter(self, symbol, volume):
        self._enter(Publish("", symbol, VOLUME.read(volume)))
        self.entries.append((self.seq, symbol, volume))
        self.tell(self.signal(self.entries[-1]))

    def signal(self, entry):
        seq, symbol, volume = entry
        fields = f"channel=main|seq={seq}|symbol={symbol}|volume={volume}|time=1|h={seq:08x}"
        return f"<<SIGNAL|{fields}>>\r\n".encode()

    def takes(self, session, request):
        if isinstance(request, Hello):
            session.say(messages.welcome(5.0, 1, epoch=self.epoch))
        elif isinstance(request, requests.Subscribe):
            self.asked.append((request.epoch, request.after))
            self.answer_subscribe(session, request)
        else:
            super().takes(session, request)

    def answer_subscribe(self, session, asked):
        if asked.epoch == self.epoch:
            missed = [each for each in self.entries if each[0] > asked.after]
            session.say(*map(self.signal, missed))
        else:
            book = [(symbol, volume) for (symbol, _), (volume, _) in self.book.items()]
            session.say(answers.snapshot("main", self.epoch, self.seq, len(book)))
            for symbol, volume in book:
                text = f"<<POSITION|channel=main|seq=1|symbol={symbol}|volume={volume}|time=1>>\r\n"
                session.say(text.encode())
        session.say(self.synced())
        self.followers.add(session)

    def synced(self):
        return answers.synced("main", self.epoch, self.seq, f"{self.seq:08x}")
