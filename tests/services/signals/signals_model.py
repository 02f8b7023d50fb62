"""What clients of the signals port must find to be true, whatever happens between."""

from decimal import Decimal
from typing import NamedTuple

from signals_peers import BadJournal, frame

from mtnet.services.signals.wire import answers, requests
from mtnet.session import messages
from mtnet.session.grammar import FrameDecoder, parse

SYMBOLS = "ABCDT"


class Content(NamedTuple):
    """What PUBLISH sets; `sl` empty = absent."""

    symbol: str
    ticket: str = ""
    volume: Decimal = Decimal(0)
    type: str = "position"
    sl: str = ""

    @property
    def fields(self):
        """The fields of PUBLISH, but for those that it does not have."""
        type = "" if self.type == "position" else self.type
        fields = {"ticket": self.ticket, "type": type, "sl": self.sl}
        shown = {key: text for key, text in fields.items() if text}
        return {"symbol": self.symbol, "volume": self.volume, **shown}

    def is_of(self, entry):
        """Whether an entry is what this set."""
        theirs = entry.symbol, entry.ticket, entry.volume, entry.type, dict(entry.fields)
        return theirs == (*self[:4], {"sl": self.sl} if self.sl else {})


class Truth:
    """
    Every entry that is on the disk, in order: what a journal can lose is not lost here.

    Attributes:
        held: the entries that stand, by (symbol, ticket).
        known: every symbol of an entry.
        wrong: what was found to be wrong where nobody hears of it.
    """

    def __init__(self):
        self.begin([])
        self.wrong, self.rules = [], None

    def begin(self, entries):
        """Begin with what is on the disk."""
        self.entries, self.held, self.known = [], {}, set()
        self.add(entries)

    def add(self, entries):
        """Take what is stored."""
        for entry in entries:
            self.entries.append(entry)
            self.known.add(entry.symbol)
            self.held.pop((entry.symbol, entry.ticket), None)
            if entry.volume:
                self.held[entry.symbol, entry.ticket] = entry

    def copy(self):
        """Return what can be added to without this."""
        made = Truth()
        made.entries, made.held, made.known = [*self.entries], dict(self.held), set(self.known)
        return made

    def knows(self, seq, h):
        """Whether an entry that somebody knows is one of these."""
        if not seq:
            return True
        return seq <= len(self.entries) and h in (None, self.entries[seq - 1].h)

    def of_id(self, identity):
        found = [entry for entry in self.entries if entry.id == identity]
        assert len(found) <= 1, f"{identity} is stored twice"
        return found[0] if found else None

    def state(self, seq=None, symbols=None):
        """Return volumes by (symbol, ticket), as of an entry; orders are among them."""
        if seq in (None, len(self.entries)):
            held = self.held.items()
            return {k: e.volume for k, e in held if symbols is None or k[0] in symbols}
        held = {}
        for entry in self.entries[:seq]:
            if symbols is None or entry.symbol in symbols:
                held.pop((entry.symbol, entry.ticket), None)
                if entry.volume:
                    held[entry.symbol, entry.ticket] = entry.volume
        return held

    def net(self, symbol):
        of_symbol = [each for key, each in self.held.items() if key[0] == symbol]
        counted = [each.volume for each in of_symbol if each.type == "position"]
        return sum(counted, Decimal(0))


class WitnessedJournal(BadJournal):
    """A journal that tells the truth what lands on its disk, and has it compared with the rules."""

    truth = None

    def _take(self, connection, drafts, policy):
        outcomes, rows = super()._take(connection, drafts, policy)
        try:
            self.truth.rules.start()
            for draft, outcome in zip(drafts, outcomes, strict=True):
                self.truth.rules.check(self.truth, draft, outcome)
        except AssertionError as error:  # which the writer would take for a failing disk
            self.truth.wrong.append(error)
        return outcomes, rows


class Client:
    """One that connects again and again; it reads when it is told to, and answers PING."""

    address = "127.0.0.1"

    def __init__(self, world):
        self.world, self.terminal = world, None

    def connect(self):
        self.cut(1.0)
        self.terminal = self.world.server.dial(peer=self.address)
        self._decoder = FrameDecoder(4_096, 8_192)
        self.greet()

    def greet(self):
        self.terminal.send(messages.hello())

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
            self.terminal.send(messages.pong())
        self.take(answer)

    def take(self, answer):
        """Take what the server said."""


class Follower(Client):
    """
    One of dialect 2, which trades nothing that is of another history than its own.

    Attributes:
        epoch, seq, h: what it knows last; an `h` of None is not known.
        held: whether it waits for a person: the history is another one.
    """

    def __init__(self, world, symbols=None):
        super().__init__(world)
        self.symbols, self.state = symbols, {}
        self.epoch = self.seq = self.h = None
        self.synced = self.held = False

    def connect(self, resume, ahead=0):
        super().connect()
        self.head, self.synced, self.held = None, False, False
        self._next = None
        self.claim, self.mode = (None, None), None
        if resume:
            self.claim = self.seq, self.h
            if ahead:
                # As one who knows of entries that a restored backup does not have.
                self.claim = len(self.world.truth.entries) + ahead, None
            known = {"epoch": self.epoch, "after": self.claim[0], "h": self.claim[1]}
        else:
            self.epoch = self.seq = self.h = None
            known = {}
        self.diverged = resume and not self.world.truth.knows(*self.claim)
        self.world.claims.add(self.claim)
        self.terminal.send(requests.subscribe(symbols=self.symbols, **known))

    def accept(self):
        """A person says that the server's history is the right one."""
        if self.held and self.synced:
            self.held = False
            self.epoch, self.seq, self.h, self.state = self._next

    def take(self, answer):
        if isinstance(answer, answers.Snapshot):
            self._begin_snapshot(answer)
        elif isinstance(answer, answers.SnapshotPosition):
            self.snapshot[answer.symbol, answer.ticket] = answer.volume
        elif isinstance(answer, answers.Synced):
            self._sync(answer)
        elif isinstance(answer, answers.Signal):
            self._apply(answer)
        elif isinstance(answer, (answers.Paused, answers.Resumed)):
            self.mode = getattr(answer, "mode", None)

    def _begin_snapshot(self, head):
        if self.synced:  # the channel has begun anew
            assert head.epoch != self._followed[0]
            self.synced = False
        same = self.epoch == head.epoch
        assert head.diverged == (same and self.diverged), f"{head} to one who knows {self.claim}"
        if head.diverged:
            self.world.claimed(self.claim)
        ended = not same or head.seq < (self.seq or 0)
        self.held = self.epoch is not None and (ended or head.diverged)
        assert not self.held or self.diverged or self.world.went_back
        # Until SYNCED it may be cut off, and nothing to come back with.
        self.snapshot, self.head = {}, head

    @property
    def _followed(self):
        """Epoch, seq, h and state of what the server tells about."""
        return self._next if self.held else (self.epoch, self.seq, self.h, self.state)

    def _follow(self, epoch, seq, h, state):
        if self.held:
            self._next = epoch, seq, h, state
        else:
            self.epoch, self.seq, self.h, self.state = epoch, seq, h, state

    def _sync(self, answer):
        assert not self.synced
        self.synced = True
        if self.head is not None:
            assert len(self.snapshot) == self.head.count
            seq, state, self.head = self.head.seq, self.snapshot, None
        else:
            assert answer.epoch == self.epoch
            assert self.world.truth.knows(self.seq, self.h), "it goes on with another history"
            seq, state = self.seq, self.state
        # What a filter leaves out is passed over in silence.
        assert answer.seq == seq or (self.symbols and answer.seq > seq)
        assert state == self.world.truth.state(answer.seq, self.symbols)
        self._follow(answer.epoch, answer.seq, answer.h, state)

    def _apply(self, answer):
        epoch, seq, _, state = self._followed
        before = answer.prev if self.symbols else answer.seq - 1
        assert seq == before, "something is missing, or comes twice"
        stored = self.world.truth.entries[answer.seq - 1]
        theirs = stored.symbol, stored.ticket, stored.volume, stored.h
        assert theirs == (answer.symbol, answer.ticket, answer.volume, answer.h)
        state.pop((answer.symbol, answer.ticket), None)
        if answer.volume:
            state[answer.symbol, answer.ticket] = answer.volume
        self._follow(epoch, answer.seq, answer.h, state)
        assert state == self.world.truth.state(answer.seq, self.symbols)


class Publisher(Client):
    """
    One of dialect 2.

    Attributes:
        name: as in HELLO.
        mode: how its channel is paused, as it was told.
        said: whether it has said PUBLISH since HELLO.
    """

    def __init__(self, world, name):
        super().__init__(world)
        self.name = name

    def connect(self):
        self.unanswered = []
        super().connect()

    def greet(self):
        self.terminal.send(messages.hello(name=self.name))
        self.fenced = self.said = False
        self.mode = None

    def leave(self):
        """Say BYE, and go."""
        if self.terminal is not None:
            self.terminal.send(messages.bye())
        self.cut(1.0)

    def publish(self, identity, content, fresh, take=None):
        self.unanswered.append((identity, content, fresh))
        more, self.said = {"take": take} if take else {}, True
        self.terminal.send(frame("PUBLISH", id=identity, **content.fields, **more))

    def take(self, answer):
        if isinstance(answer, (answers.Paused, answers.Resumed)):
            self.mode = getattr(answer, "mode", None)
        if isinstance(answer, answers.Welcome):
            self.fenced = False  # what was said before it is of the HELLO before
        identity = getattr(answer, "id", "")
        if not identity:
            self.fenced = self.fenced or getattr(answer, "code", "") == "fenced"
            return
        # While the disk fails, what is refused may be answered behind what is stored.
        asked = next(each for each in self.unanswered if each[0] == identity)
        self.unanswered.remove(asked)
        _, content, fresh = asked
        entry, verdict = self.world.truth.of_id(identity), self.world.rules.verdicts.get(identity)
        same = entry is not None and content.is_of(entry)
        again = identity in self.world.repeated
        if isinstance(answer, answers.Stored):
            assert same
            assert entry.seq == answer.seq
            assert not (self.fenced and fresh and not again)
        elif answer.code == "server":
            assert not same or again
        elif not again:
            said = "closed" if answer.closed else answer.code
            assert verdict == said, f"{identity}: {verdict}, not {answer}; {self.world.truth.wrong}"
            assert entry is None


class ClassicFollower(Client):
    def connect(self):
        super().connect()
        self.got = {}

    def greet(self):
        self.world.clock.advance(0.3)

    def hear(self, payload):
        symbol, volume = payload.decode().split("|")
        self.got[symbol] = Decimal(volume)

    def check(self):
        """Compare what it was told last of each symbol with the truth."""
        for symbol in SYMBOLS:
            assert self.got.get(symbol, 0) == self.world.truth.net(symbol)

    def check_closes(self):
        """It is told of what was closed before it came, too."""
        assert self.got.keys() >= self.world.truth.known


class Master(Client):
    """
    A classic publisher: it says what its account holds, on each connection anew.

    Attributes:
        account: net positions by symbol.
        claims: symbols of which it said what was stored already, so that they are its own.
    """

    def __init__(self, world, address):
        super().__init__(world)
        self.account, self.claims, self.address = {}, set(), address

    def greet(self):
        for symbol, volume in self.account.items():
            self.say(symbol, volume)

    def publish(self, symbol, volume):
        self.account[symbol] = volume
        self.say(symbol, volume)

    def say(self, symbol, volume):
        self.world.frames.append((self.address, symbol, Decimal(volume)))
        if Decimal(volume) in self.world.volumes(symbol):
            self.claims.add(symbol)
        self.terminal.send(f"<<{symbol}|{volume}>>\0".encode())

    def hear(self, payload):
        raise AssertionError("a classic publisher is sent nothing")
