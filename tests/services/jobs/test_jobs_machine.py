"""
Jobs against a model, over kills of the daemon, cuts, workers that hang and readers that stop.

No job is lost, none ends twice, none is at two workers of one name at once, a result counts only
for a worker that has the task, and readers are told each end once and in order.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.task import Clock

from mtnet.errors import JournalError
from mtnet.interfaces import IMetrics
from mtnet.services.jobs.wire import ANSWERS, Ended, Renewed, ResultsBegin, Taken, Task
from mtnet.session.grammar import parse, payloads
from mtnet.testing import connect, make_environment

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "8"))
SETS = ("jobs.enabled=true", "jobs.lease=20", "signals.heartbeat=100000")
WHO = st.integers(0, 2)
IDS = [f"j{number}" for number in range(6)]


class Client:
    """
    A session: its tasks as it knows them, and the ends that it was told of.

    Attributes:
        tasks: those that it was given and has not ended, by id.
        most: slots that it has asked for at most.
        follows: behind which number it reads results; None = it reads none.
    """

    def __init__(self, terminal):
        self.terminal = terminal
        self.tasks, self.most, self.ends, self.follows = {}, 0, [], None


class JobMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.limits = ExitStack()
        for name, value in (("net.output.queue.PIECE", 300), ("services.jobs.feeds.PAGE", 2)):
            self.limits.enter_context(patch(f"mtnet.{name}", value))
        self.folder = Path(tempfile.mkdtemp(prefix="jobs-"))
        self.clock = Clock()
        self.offered, self.ends, self.epoch = {}, [], None
        self.peers = 1
        self.begin()

    def teardown(self):
        self.limits.close()
        shutil.rmtree(self.folder)

    def begin(self):
        self.people, self.fails = [None] * 3, False
        self.env = make_environment(self.folder / "data", self.clock, *SETS)
        self.service = self.env.components.services["jobs"]
        self.jobs = IMetrics(self.service)._jobs
        self.service.start()
        self.factory = self.env.factory("signals")

    def say(self, client, frame):
        client.terminal.send(frame)
        return self.settle(client)

    def settle(self, asker=None):
        """Let everything arrive; return what the asker was answered."""
        self.clock.advance(0)
        answers = []
        for client in self.open:
            for payload in payloads(client.terminal.received()):
                message = parse(payload)
                if message.verb in ("WELCOME", "PING"):
                    continue
                found = ANSWERS[message.verb](message) if message.verb in ANSWERS else message
                if isinstance(found, Task):
                    assert found.id not in client.tasks
                    client.tasks[found.id] = found
                elif isinstance(found, Ended):
                    client.ends.append(found)
                elif client is asker:
                    answers.append(found)
        return answers

    def usable(self, client):
        return not client.terminal.transport.stalled

    def client(self, who):
        """Return a client, who comes if it is not there."""
        if self.people[who] is None:
            self.peers += 1
            terminal = connect(self.factory, self.clock, peer=f"127.0.0.{self.peers % 250 + 1}")
            self.people[who] = Client(terminal)
            self.say(self.people[who], b"<<HELLO|v=2>>")
        return self.people[who]

    @property
    def open(self):
        return [each for each in self.people if each is not None]

    @rule(
        who=WHO,
        id=st.sampled_from(IDS),
        replicas=st.integers(1, 2),
        tries=st.integers(1, 3),
        timeout=st.sampled_from([30, 1_000]),
    )
    def offer(self, who, id, replicas, tries, timeout):
        client = self.client(who)
        if not self.usable(client):
            return
        more = f"|replicas={replicas}|tries={tries}|timeout={timeout}"
        (answer,) = self.say(client, f"<<OFFER|queue=q|id={id}|data=d{id}{more}>>".encode())
        if not self.fails:
            self.offered.setdefault(id, answer.seq)
            assert answer.seq == self.offered[id]

    @rule(who=WHO, id=st.sampled_from(IDS))
    def offer_other_data(self, who, id):
        client = self.client(who)
        if self.usable(client) and id in self.offered and not self.fails:
            (answer,) = self.say(client, f"<<OFFER|queue=q|id={id}|data=other>>".encode())
            assert (answer.verb, answer.fields["code"]) == ("ERROR", "id")

    @rule(who=WHO, slots=st.sampled_from([0, 1, 2, 3, 3]))
    def work(self, who, slots):
        client = self.client(who)
        if self.usable(client):
            client.most = max(client.most, slots)
            self.say(client, f"<<WORK|queue=q|slots={slots}>>".encode())

    @rule(
        who=WHO,
        pick=st.integers(0, 5),
        end=st.sampled_from(["RESULT", "RESULT", "RESULT", "FAIL", "RENEW"]),
        data=st.sampled_from(["a", "a", "b"]),
    )
    def speak_of_a_task(self, who, pick, end, data):
        client = self.client(who)
        if not self.usable(client) or not client.tasks:
            return
        id = list(client.tasks)[pick % len(client.tasks)]
        held = self.holds(client, id)
        word = {"RESULT": f"|data={data}", "FAIL": "|reason=no", "RENEW": ""}[end]
        given = client.tasks.pop(id)
        (answer,) = self.say(client, f"<<{end}|queue=q|id={id}{word}>>".encode())
        if end == "RENEW":
            assert answer == Renewed("q", id, not held)
            if held:
                client.tasks.setdefault(id, given)
        elif isinstance(answer, Taken):
            assert answer.late is not held
        else:
            assert (answer.verb, self.fails) == ("ERROR", True)

    def holds(self, client, id):
        """Return whether the server believes that a client has a task."""
        job = self.jobs.book.find("q", id)
        names = [] if job is None else [worker.name for worker in job.leases]
        return f"{client.terminal.transport.getPeer().host}:50000" in names

    @rule(who=WHO, id=st.sampled_from(IDS))
    def speak_of_no_task(self, who, id):
        client = self.client(who)
        if self.usable(client) and id not in client.tasks:
            (answer,) = self.say(client, f"<<RESULT|queue=q|id={id}|data=z>>".encode())
            assert answer == Taken("q", id, True)

    @rule(who=WHO, after=st.integers(0, 6), known=st.booleans())
    def results(self, who, after, known):
        client = self.client(who)
        if not self.usable(client):
            return
        epoch = f"|epoch={self.epoch}" if known and self.epoch else ""
        client.ends.clear()
        answers = self.say(client, f"<<RESULTS|queue=q|after={after}{epoch}>>".encode())
        begin = next(each for each in answers if isinstance(each, ResultsBegin))
        assert self.epoch in (None, begin.epoch)
        self.epoch = begin.epoch
        client.follows = after if after <= begin.seq else 0

    @rule(who=WHO)
    def stall(self, who):
        client = self.client(who)
        client.terminal.transport.stalled = True

    @rule(who=WHO)
    def read_again(self, who):
        client = self.client(who)
        client.terminal.transport.stalled = False
        client.terminal.transport.drain()
        self.settle()

    @rule(who=WHO, bye=st.booleans())
    def leave(self, who, bye):
        client = self.client(who)
        if bye:
            client.terminal.send(b"<<BYE>>")
        client.terminal.hang_up()
        self.people[who] = None
        self.settle()

    @rule(seconds=st.sampled_from([1, 10, 25]))
    def wait(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)
        self.settle()

    @rule()
    def kill(self):
        """Nothing of the daemon is closed; its clients are gone, and the file is opened again."""
        for stop in self.service._stop[:-1]:  # the timers
            stop()
        self.begin()

    @property
    def database(self):
        return self.jobs._store._database

    @rule()
    def break_the_disk(self):
        def fail(work):
            raise JournalError("The disk is gone.")

        self.fails, self.database.transaction = True, fail

    @rule()
    def repair_the_disk(self):
        if self.fails:
            self.fails = False
            del self.database.transaction

    @invariant()
    def each_job_ends_once_and_none_is_lost(self):
        store = self.jobs._store
        found = store.results("q", 0, 100)
        assert found[: len(self.ends)] == self.ends
        self.ends = found
        ids = [each.id for each in found]
        assert len(set(ids)) == len(ids)
        waiting = [job.id for job in store.open_jobs()]
        assert sorted(ids + waiting) == sorted({*ids, *waiting})
        assert set(self.offered) <= {*ids, *waiting}
        assert set(self.jobs.book.queues.get("q").jobs if waiting else ()) == set(waiting)

    @invariant()
    def no_worker_has_more_than_it_wants_or_one_job_twice(self):
        queue = self.jobs.book.queues.get("q")
        for job in () if queue is None else queue.jobs.values():
            names = [worker.name for worker in job.leases]
            assert len(set(names)) == len(names) <= job.replicas
            assert not set(names) & set(job.answers)
            assert job.leases or job.group is not None
        for client in self.open:
            assert len(client.tasks) <= client.most
        if queue is not None:
            leases = [lease for worker in queue.workers for lease in worker.leases.values()]
            assert queue.running == len(leases)
            idle = [worker for worker in queue.workers if worker.room]
            assert all(queue.next(worker) is None for worker in idle)

    @invariant()
    def readers_are_told_each_end_once_and_in_order(self):
        self.settle()
        for client in self.open:
            if client.follows is not None and not client.terminal.transport.stalled:
                wanted = [each for each in self.ends if each.seq > client.follows]
                assert client.ends == wanted


TestJobs = JobMachine.TestCase
TestJobs.settings = settings(max_examples=RUNS, stateful_step_count=50, deadline=None)
