"""
Topics against a model, over kills of the daemon, cuts and members that do not read for a while.

Each member is sent exactly what the model says, in the order of each topic, and nothing twice.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from twisted.internet.task import Clock

from mtnet.services.topics.store import RetainedStore
from mtnet.services.topics.wire import ANSWERS, covers
from mtnet.session.grammar import parse, payloads
from mtnet.testing import connect, make_environment

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "8"))
HISTORY = 5
TOPICS = ("desk/a", "desk/b", "desk/b/c", "other")
NAMES = (*TOPICS, "desk/*", "desk/b/*")
KEYS = ("", "k")
SETS = ("topics.enabled=true", f"topics.history={HISTORY}", "topics.max_joined=3")


class Client:
    """A session, what it has joined, and what it was and should have been sent of each topic."""

    def __init__(self, terminal):
        self.terminal, self.joined = terminal, {}
        self.wanted, self.found = {}, {}

    def expect(self, topic, *posts):
        self.wanted.setdefault(topic, []).extend(posts)

    def read(self):
        answers = []
        for payload in payloads(self.terminal.received()):
            message = parse(payload)
            if message.verb == "MESSAGE":
                post = ANSWERS["MESSAGE"](message)
                shown = (post.seq, post.data, post.retained)
                self.found.setdefault(post.topic, []).append(shown)
            else:
                answers.append(message)
        return answers


class TopicMachine(RuleBasedStateMachine):
    clients = Bundle("clients")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="topics-"))
        self.clock, self.open, self.number = Clock(), [], 0
        self.values = {}
        self.begin()

    def teardown(self):
        shutil.rmtree(self.folder)

    def begin(self):
        env = make_environment(self.folder / "data", self.clock, *SETS)
        self.factory = env.factory("signals")
        self.posts = {topic: [] for topic in TOPICS}
        self.values = {where: (0, data) for where, (_, data) in self.values.items()}
        self.epoch = None

    def known(self, client):
        return client in self.open

    @rule(target=clients)
    def arrive(self):
        client = Client(connect(self.factory, self.clock))
        self.open.append(client)
        self.say(client, b"<<HELLO|v=2>>")
        return client

    def say(self, client, frame):
        client.terminal.send(frame)
        self.clock.advance(0)
        return client.read()

    @rule(client=clients, name=st.sampled_from(NAMES), after=st.none() | st.integers(0, 12))
    def join(self, client, name, after):
        if not self.known(client) or client.terminal.transport.stalled:
            return
        after = None if name.endswith("*") else after
        more = "" if after is None else f"|after={after}"
        overlaps = any(
            other != name and (covers(other, name) or covers(name, other))
            for other in client.joined
        )
        full = name not in client.joined and len(client.joined) == 3
        if not (overlaps or full):
            client.joined[name] = None
            for topic in TOPICS:
                if covers(name, topic):
                    client.expect(topic, *self.at_join(topic, after))
        (answer,) = self.say(client, f"<<JOIN|topic={name}{more}>>".encode())
        assert (answer.verb == "ERROR") == (overlaps or full)

    def at_join(self, topic, after):
        posts = self.posts[topic]
        kept = posts[-HISTORY:]
        oldest = kept[0][0] if kept else len(posts) + 1
        known = after if after is None or after <= len(posts) else 0
        values = [value for (where, _), value in self.values.items() if where == topic]
        yield from (
            (seq, data, True)
            for seq, data in values
            if known is None or not seq or known < seq < oldest
        )
        if known is not None:
            yield from ((seq, data, False) for seq, data in kept if seq > known)

    @rule(client=clients, name=st.sampled_from(NAMES))
    def leave(self, client, name):
        if self.known(client) and not client.terminal.transport.stalled:
            client.joined.pop(name, None)
            (answer,) = self.say(client, f"<<LEAVE|topic={name}>>".encode())
            assert answer.verb == "LEFT"

    @rule(
        client=clients,
        topic=st.sampled_from(TOPICS),
        key=st.sampled_from(KEYS),
        retain=st.booleans(),
        empty=st.booleans(),
        to=st.sampled_from(["", "nobody"]),
    )
    def send(self, client, topic, key, retain, empty, to):
        if not self.known(client) or client.terminal.transport.stalled:
            return
        to = "" if retain else to
        self.number += 1
        data = "" if empty else str(self.number)
        seq = len(self.posts[topic]) + 1
        self.posts[topic].append((seq, data))
        if retain:
            self.values.pop((topic, key), None)
            if data:
                self.values[topic, key] = (seq, data)
        readers = [each for each in self.open if any(covers(name, topic) for name in each.joined)]
        if to:
            self.posts[topic][-1] = (seq, None)
            readers = []
        for each in readers:
            each.expect(topic, (seq, data, False))
        frame = f"<<SEND|topic={topic}|data={data}|key={key}|retain={int(retain)}|to={to}>>"
        (answer,) = self.say(client, frame.encode())
        assert answer.verb == "SENT"
        assert (int(answer.fields["seq"]), int(answer.fields["receivers"])) == (seq, len(readers))

    @rule(client=clients)
    def stall(self, client):
        client.terminal.transport.stalled = True

    @rule(client=clients)
    def read_again(self, client):
        client.terminal.transport.stalled = False
        client.terminal.transport.drain()

    @rule(client=consumes(clients))
    def cut(self, client):
        if self.known(client):
            self.open.remove(client)
            client.terminal.hang_up()

    @rule()
    def kill(self):
        """Nothing of the daemon is closed; its clients are gone, and the file is opened again."""
        self.open = []
        self.begin()

    @invariant()
    def each_is_sent_what_it_should(self):
        self.clock.advance(0)
        for client in self.open:
            client.read()
            if not client.terminal.transport.stalled:
                for topic, wanted in client.wanted.items():
                    visible = [each for each in wanted if each[1] is not None]
                    assert sorted_values(client.found.get(topic, [])) == sorted_values(visible)

    @invariant()
    def the_disk_has_the_values(self):
        stored = RetainedStore(self.folder / "data" / "topics.sqlite")
        found = {(post.topic, post.key): post.data for post in stored.load()}
        stored.close()
        assert found == {where: data for where, (_, data) in self.values.items()}


def sorted_values(posts):
    """Return messages with each run of retained values sorted: after a start they have no order."""
    runs, values = [], []
    for post in posts:
        if post[2]:
            values.append(post)
        else:
            runs += [*sorted(values), post]
            values = []
    return runs + sorted(values)


TestTopics = TopicMachine.TestCase
TestTopics.settings = settings(max_examples=RUNS, stateful_step_count=30, deadline=None)


def test_every_epoch_is_another_one(tmp_path):
    epochs = set()
    for _ in range(3):
        terminal = connect(
            make_environment(tmp_path / "data", Clock(), *SETS).factory("signals"), Clock()
        )
        terminal.send(b"<<HELLO|v=2>><<JOIN|topic=x>>")
        epochs.add(re.search(rb"JOINED\|.*epoch=(\w+)", terminal.received())[1])
    assert len(epochs) == 3
