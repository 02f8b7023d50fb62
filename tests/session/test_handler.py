"""What handlers of verbs share: rights, and answers that come later."""

import pytest
from fakes.rights import rights
from twisted.internet.defer import Deferred, succeed

from mtnet.errors import JournalError, PolicyError, WireError
from mtnet.session.handler import LateAnswers, SessionHandler, demand

LATE = "It is not stored"


class Throttle:
    def __init__(self):
        self.reasons = set()

    def pause(self, why):
        self.reasons.add(why)

    def resume(self, why):
        self.reasons.discard(why)


class FakeSession:
    """A session as far as a handler needs it."""

    def __init__(self, *granted):
        self.throttle, self.closed, self.sent, self.looks = Throttle(), False, [], 0
        self.warned = []
        self.peer = self
        self.rights = rights(*granted)

    def send(self, frame):
        self.sent.append(frame)

    def warn(self, log, kind, text, **fields):
        self.warned.append((kind, fields))

    def check_finished(self):
        self.looks += 1


@pytest.fixture
def session():
    return FakeSession("publish:topics/fx*")


@pytest.fixture
def answers(session):
    return LateAnswers(session, LATE, most=2)


def test_an_answer_is_sent_once_it_is_there(session, answers):
    done = Deferred()
    answers.expect(done, "SEND", "a")
    assert (session.sent, answers.waiting) == ([], 1)
    done.callback(b"<<SENT|id=a>>\r\n")
    assert (session.sent, answers.waiting, session.looks) == ([b"<<SENT|id=a>>\r\n"], 0, 1)


def test_an_answer_that_is_there_at_once_is_sent_at_once(session, answers):
    answers.expect(succeed(b"answer"), "SEND", "")
    assert (session.sent, answers.waiting) == ([b"answer"], 0)


def test_a_disk_that_fails_is_an_error_with_the_id_and_the_sentence_of_the_service(
    session, answers
):
    done = Deferred()
    answers.expect(done, "SEND", "a")
    done.errback(JournalError("/secret/path: the disk is full"))
    assert session.sent == [b"<<ERROR|code=server|text=It is not stored|id=a>>\r\n"]
    assert answers.waiting == 0
    reason = {"verb": "SEND", "error": "/secret/path: the disk is full"}
    assert session.warned == [("server", reason)]


def test_a_refusal_is_an_error_with_its_own_sentence(session, answers):
    done = Deferred()
    answers.expect(done, "OFFER", "")
    done.errback(PolicyError("denied", "Too many"))
    assert session.sent == [b"<<ERROR|code=denied|text=Too many>>\r\n"]


def test_a_session_that_is_over_is_sent_nothing(session, answers):
    done = Deferred()
    answers.expect(done, "SEND", "a")
    session.closed = True
    done.callback(b"answer")
    assert (session.sent, session.looks, answers.waiting) == ([], 0, 0)


def test_a_client_is_not_read_while_as_many_wait_as_may(session, answers):
    waiting = [Deferred() for _ in range(3)]
    for each in waiting:
        answers.expect(each, "SEND", "")
        assert bool(session.throttle.reasons) is (answers.waiting >= 2)
    for each in waiting:
        each.callback(b"answer")
        assert bool(session.throttle.reasons) is (answers.waiting >= 2)


def test_an_error_of_ours_is_logged_and_answered_without_what_it_says(session, answers, log):
    done = Deferred()
    answers.expect(done, "SEND", "a")
    done.errback(ZeroDivisionError("/secret/path"))
    assert session.sent == [b"<<ERROR|code=server|text=It is not stored|id=a>>\r\n"]
    assert (answers.waiting, session.looks) == (0, 1)
    assert log[-1]["log_failure"].check(ZeroDivisionError)


@pytest.mark.parametrize("name", ["fx", "fx/EURUSD", "fx*"])
def test_a_right_that_is_there_is_no_error(session, name):
    demand(session, "publish", "topics", name)


@pytest.mark.parametrize(
    ("verb", "name"), [("publish", "gold"), ("follow", "fx"), ("publish", "*")]
)
def test_a_right_that_is_not_there_is_named(session, verb, name):
    with pytest.raises(WireError, match="There is no right") as raised:
        demand(session, verb, "topics", name)
    assert (raised.value.code, str(raised.value)) == (
        "denied",
        f"There is no right {verb}:topics/{name} here",
    )


def test_a_handler_owes_nothing_and_says_nothing_by_itself():
    handler = SessionHandler()
    assert (handler.welcomed(), handler.heartbeat(), handler.busy()) == ({}, {}, False)
    for call in (handler.rights_gained, handler.leaving, lambda: handler.closed(True)):
        assert call() is None
