"""What clients of the signals port must find to be true, whatever happens between."""

from decimal import Decimal

from signals_peers import BadJournal, frame

from mtnet.signals import answers, requests
from mtnet.signals.dialect import parse
from mtnet.signals.entries import Entry
from mtnet.signals.wire import FrameDecoder


class Truth:
    """Every entry that is on the disk, in order: what a journal can lose is not lost here."""

    def __init__(self):
        self.entries = []

    def of_id(self, identity):
        found = [entry for entry in self.entries if entry.id == identity]
        assert len(found) <= 1, f"{identity} is stored twice"
        return found[0] if found else None

    def state(self, seq=None, symbols=None):
        """Return volumes by (symbol, ticket), as of an entry."""
        held = {}
        for entry in self.entries[:seq]:
            if symbols is None or entry.symbol in symbols:
                held.pop((entry.symbol, entry.ticket), None)
                if entry.volume:
                    held[entry.symbol, entry.ticket] = entry.volume
        return held

    def net(self, symbol):
        state = self.state(symbols={symbol})
        return sum((volume for volume in state.values()), Decimal(0))


class WitnessedJournal(BadJournal):
    """A journal that tells the truth what lands on its disk."""

    truth = None

    def _take(self, connection, drafts, judge):
        outcomes, rows = super()._take(connection, drafts, judge)
        self.truth.entries += [each for each in outcomes if isinstance(each, Entry)]
        return outcomes, rows


class Client:
    """One that connects again and again; it reads when it is told to, and answers PING."""

    def __init__(self, world):
        self.world, self.terminal = world, None

    def connect(self):
        self.cut(1.0)
        self.terminal, self._decoder = self.world.server.dial(), FrameDecoder(4_096, 8_192)
        self.greet()

    def greet(self):
        self.terminal.send(requests.hello())

    def read(self, share=1.0):
        """Take what was written, or the first bytes of it."""
        if self.terminal is None:
            return
        data = self.terminal.received()
        for payload in self._decoder.feed(data[: round(len(data) * share)]):
            self.hear(payload)
        if self.terminal.closed or self.terminal.transport.ended:
            self.lose()

    def cut(self, share):
        """Lose the connection with some bytes unread."""
        self.read(share)
        self.lose()

    def lose(self):
        terminal, self.terminal = self.terminal, None
        if terminal is not None:
            terminal.hang_up()

    def hear(self, payload):
        answer = answers.read_answer(parse(payload))
        if isinstance(answer, answers.Heartbeat):
            self.terminal.send(requests.pong())
        self.take(answer)

    def take(self, answer):
        """Take what the server said."""


class Follower(Client):
    def __init__(self, world, symbols=None):
        super().__init__(world)
        self.symbols, self.state = symbols, {}
        self.epoch = self.seq = None
        self.synced = False

    def connect(self, resume, ahead=0):
        super().connect()
        self.head, self.synced = None, False
        known = {"epoch": self.epoch, "after": self.seq} if resume else {}
        if resume and ahead:
            # As one who knows of entries that a restored backup does not have.
            known["after"] = len(self.world.truth.entries) + ahead
        if not resume:
            self.seq = None
        self.terminal.send(requests.subscribe(symbols=self.symbols, **known))

    def take(self, answer):
        truth = self.world.truth
        if isinstance(answer, answers.Snapshot):
            assert not self.synced
            assert self.epoch in (None, answer.epoch)
            assert answer.seq >= (self.seq or 0), "a snapshot takes something back"
            # Until SYNCED it may be cut off, and nothing to come back with.
            self.snapshot, self.head = {}, answer
        elif isinstance(answer, answers.SnapshotPosition):
            self.snapshot[answer.symbol, answer.ticket] = answer.volume
        elif isinstance(answer, answers.Synced):
            assert not self.synced
            self.synced, self.epoch = True, answer.epoch
            if self.head is not None:
                assert len(self.snapshot) == self.head.count
                self.state, self.seq = self.snapshot, self.head.seq
            # What a filter leaves out is passed over in silence.
            assert answer.seq == self.seq or (self.symbols and answer.seq > self.seq)
            self.seq = answer.seq
            assert self.state == truth.state(self.seq, self.symbols)
        elif isinstance(answer, answers.Signal):
            before = answer.prev if self.symbols else answer.seq - 1
            assert self.seq == before, "something is missing, or comes twice"
            stored = truth.entries[answer.seq - 1]
            assert (stored.symbol, stored.ticket, stored.volume) == (
                *(answer.symbol, answer.ticket),
                answer.volume,
            )
            self.seq = answer.seq
            self.state.pop((answer.symbol, answer.ticket), None)
            if answer.volume:
                self.state[answer.symbol, answer.ticket] = answer.volume
            assert self.state == truth.state(self.seq, self.symbols)


class Publisher(Client):
    def connect(self):
        super().connect()
        self.unanswered, self.fenced = [], False

    def greet(self):
        super().greet()
        self.fenced = False

    def leave(self):
        """Say BYE, and go."""
        if self.terminal is not None:
            self.terminal.send(requests.bye())
        self.cut(1.0)

    def publish(self, identity, content, fresh):
        self.unanswered.append((identity, content, fresh))
        symbol, ticket, volume = content
        more = {"ticket": ticket} if ticket else {}
        self.terminal.send(frame("PUBLISH", id=identity, symbol=symbol, volume=volume, **more))

    def take(self, answer):
        identity = getattr(answer, "id", "")
        if not identity:
            self.fenced = self.fenced or getattr(answer, "code", "") == "fenced"
            return
        asked, content, fresh = self.unanswered.pop(0)
        assert asked == identity, "answers come in the order of the questions"
        entry = self.world.truth.of_id(identity)
        same = entry and (entry.symbol, entry.ticket, entry.volume) == (*content[:2], content[2])
        if isinstance(answer, answers.Stored):
            assert same
            assert entry.seq == answer.seq
            assert not (self.fenced and fresh and identity not in self.world.repeated)
        elif answer.code == "id":
            assert entry
            assert not same
        elif answer.code == "server":
            assert entry is None or not same or identity in self.world.repeated
        else:
            assert answer.code in ("fenced", "field")


class PublishedFollower(Client):
    def connect(self):
        super().connect()
        self.told = {}

    def greet(self):
        self.world.clock.advance(0.3)

    def hear(self, payload):
        symbol, volume = payload.decode().split("|")
        self.told[symbol] = Decimal(volume)

    def check(self):
        """Compare what it was told last of each symbol with the truth."""
        for symbol in ("A", "B", "T"):
            assert self.told.get(symbol, 0) == self.world.truth.net(symbol)


class Master(Client):
    """A published publisher."""

    def greet(self):
        """It says nothing first."""

    def publish(self, symbol, volume):
        self.terminal.send(f"<<{symbol}|{volume}>>\0".encode())

    def hear(self, payload):
        raise AssertionError("a published publisher is sent nothing")
