"""The cores of those who offer jobs and of workers: bytes in, events and bytes out."""

import pytest

from mtnet.client.core.events import Connected, Lost, Refused
from mtnet.client.core.tasks.jobs import (
    WINDOW,
    Full,
    OfferCore,
    Offering,
    Terms,
    Withdrawn,
    Work,
    WorkCore,
)
from mtnet.client.core.websocket import session_framing
from mtnet.errors import ClientError
from mtnet.services.jobs.wire import Ended, Offered, Taken, Task
from mtnet.session.grammar import payloads

EPOCH = "0123456789abcdef"
WELCOME = (
    f"<<WELCOME|v=2|epoch={EPOCH}|seq=0|heartbeat=5|time=1|services=signals,jobs>>\r\n".encode()
)


class Driven:
    """A core on a connection."""

    def __init__(self, core):
        self.core, self.when = core, 0.0
        self.connect()

    def connect(self):
        list(self.core.begin(session_framing(None), self.when))
        self.sent()
        return self.hear(WELCOME)

    def hear(self, *frames):
        return list(self.core.receive(b"".join(frames), self.when))

    def wait(self, seconds):
        self.when += seconds
        self.core.expire(self.when)
        return self.sent()

    def sent(self):
        return [payload.decode() for payload in payloads(self.core.session.data_to_send())]

    def lose(self):
        return list(self.core.lose("gone"))


def offering(count=3, **terms):
    jobs = {str(number): f"data {number}" for number in range(count)}
    return Offering("q", jobs, Terms(**terms))


def begin(epoch=EPOCH, seq=0):
    return f"<<RESULTS|queue=q|epoch={epoch}|seq={seq}|oldest=1>>\r\n".encode()


def offered(*ids):
    return b"".join(f"<<OFFERED|queue=q|id={id}|seq=1>>\r\n".encode() for id in ids)


def done(id, seq):
    return f"<<DONE|queue=q|id={id}|seq={seq}|data=y|by=bob|took=3>>\r\n".encode()


def refused(id, code, text="no"):
    return f"<<ERROR|code={code}|text={text}|id={id}>>\r\n".encode()


def test_jobs_are_offered_behind_the_results():
    driven = Driven(OfferCore(offering(2, replicas=2, timeout=9, tries=1), None))
    assert driven.sent() == [
        "RESULTS|queue=q|after=0",
        "OFFER|queue=q|id=0|data=data 0|replicas=2|timeout=9|tries=1",
        "OFFER|queue=q|id=1|data=data 1|replicas=2|timeout=9|tries=1",
    ]
    assert driven.hear(begin(), offered(0)) == [Connected(), Offered("q", "0", 1)]


def test_so_many_offers_are_unanswered_at_once():
    driven = Driven(OfferCore(offering(WINDOW + 5), None))
    assert len(driven.sent()) == 1 + WINDOW
    driven.hear(begin(), offered(0, 1, 2))
    assert [each.split("|")[2] for each in driven.sent()] == [
        f"id={WINDOW + number}" for number in range(3)
    ]


def test_each_job_ends_once_and_others_are_not_told_of():
    jobs = offering(2)
    driven = Driven(OfferCore(jobs, None))
    ends = driven.hear(begin(), done("0", 1), done("0", 1), done("x", 2))
    assert ends == [Connected(), Ended("q", "0", 1, False, "y", "bob", 3)]
    assert list(jobs.open) == ["1"]


def test_after_a_lost_connection_it_goes_on_behind_the_last_result():
    driven = Driven(OfferCore(offering(3), None))
    driven.hear(begin(), offered(0), done("0", 7))
    assert driven.lose() == [Lost("gone")]
    driven.connect()
    sent = driven.sent()
    assert sent[0] == f"RESULTS|queue=q|after=7|epoch={EPOCH}"
    assert [each.split("|")[2] for each in sent[1:]] == ["id=1", "id=2"]


def test_in_another_epoch_all_results_come_again():
    driven = Driven(OfferCore(offering(3), None))
    driven.hear(begin(), done("0", 7))
    driven.lose()
    driven.connect()
    assert driven.hear(begin("f" * 16, 1), done("0", 1)) == [Connected()]
    driven.lose()
    driven.sent()
    driven.connect()
    assert driven.sent()[0] == f"RESULTS|queue=q|after=1|epoch={'f' * 16}"


def test_an_offer_without_room_is_made_again_after_a_while():
    driven = Driven(OfferCore(offering(2), None))
    driven.sent()
    events = driven.hear(begin(), offered(0), refused(1, "server", "full"))
    assert events[-1] == Full("full")
    assert driven.core.deadline == 1.0
    assert driven.wait(0.5) == []
    assert [each.split("|")[2] for each in driven.wait(0.5)] == ["id=1"]
    assert driven.hear(offered(1)) == [Offered("q", "1", 1)]


def test_a_job_that_is_refused_is_not_offered_again():
    driven = Driven(OfferCore(offering(1), None))
    assert driven.hear(begin(), refused(0, "id")) == [Connected(), Refused("id", "no")]
    driven.lose()
    driven.sent()
    driven.connect()
    assert [each.partition("|")[0] for each in driven.sent()] == ["RESULTS"]


@pytest.mark.parametrize("core", [lambda: OfferCore(offering(), None), lambda: worker()[0]])
def test_a_server_without_jobs_is_one_sentence(core):
    driven = Driven.__new__(Driven)
    driven.core, driven.when = core(), 0.0
    list(driven.core.begin(session_framing(None), 0.0))
    (event,) = driven.hear(WELCOME.replace(b",jobs", b""))
    assert event == Refused("denied", "The server offers this login no jobs")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Offering("a b", {}, Terms()),
        lambda: Offering("q", {"a b": "x"}, Terms()),
        lambda: Offering("q", {"1": "x" * 6_001}, Terms()),
        lambda: Offering("q", {"1": "x"}, Terms(tries=0)),
        lambda: Work("q", -1),
    ],
)
def test_what_the_server_would_refuse_is_refused_before(make):
    with pytest.raises(ClientError):
        make()


# Workers


def worker(slots=2):
    work = Work("q", slots)
    return WorkCore(work, None), work


def task(id, lease=30):
    return f"<<TASK|queue=q|id={id}|data=x|lease={lease}|try=1>>\r\n".encode()


WORKING = b"<<WORKING|queue=q|slots=2>>\r\n"


def test_a_worker_asks_for_tasks_and_ends_them():
    core, _ = worker()
    driven = Driven(core)
    assert driven.sent() == ["WORK|queue=q|slots=2"]
    assert driven.hear(WORKING, task(1), task(2)) == [
        Connected(), Task("q", "1", "x", 30, 1), Task("q", "2", "x", 30, 1),
    ]  # fmt: skip
    core.result("1", "y|")
    core.fail("2", "z" * 600)
    assert driven.sent() == [
        "RESULT|queue=q|id=1|data=y%7C",
        f"FAIL|queue=q|id=2|reason={'z' * 500}",
    ]
    assert driven.hear(b"<<TAKEN|queue=q|id=1>>\r\n") == [Taken("q", "1")]


def test_a_task_is_renewed_three_times_in_a_lease_until_it_ends():
    core, _ = worker()
    driven = Driven(core)
    driven.hear(WORKING, task(1, lease=30))
    driven.sent()
    assert driven.wait(9) == []
    assert driven.wait(1) == ["RENEW|queue=q|id=1"]
    assert driven.hear(b"<<RENEWED|queue=q|id=1>>\r\n") == []
    assert core.deadline == 20.0
    core.result("1", "y")
    driven.sent()
    assert driven.wait(10) == []


def test_a_task_that_is_not_its_own_any_more_is_withdrawn():
    core, work = worker()
    driven = Driven(core)
    driven.hear(WORKING, task(1))
    late = b"<<RENEWED|queue=q|id=1|late=1>>\r\n"
    assert driven.hear(late, late) == [Withdrawn("1")]
    driven.sent()
    core.result("1", "y")
    assert driven.sent() == []
    assert work.tasks == {}


def test_tasks_are_gone_with_their_connection():
    core, work = worker()
    driven = Driven(core)
    driven.hear(WORKING, task(1))
    assert driven.lose() == [Lost("gone")]
    driven.connect()
    driven.sent()
    core.fail("1", "y")
    assert driven.sent() == []
    assert work.tasks == {}


def test_a_result_that_cannot_be_sent_is_refused_and_its_task_can_fail():
    core, _ = worker()
    driven = Driven(core)
    driven.hear(WORKING, task(1))
    driven.sent()
    with pytest.raises(ClientError, match="data has at most 6000 bytes"):
        core.result("1", "y" * 6_001)
    core.fail("1", "too long")
    assert driven.sent() == ["FAIL|queue=q|id=1|reason=too long"]
