"""Long polls: held until there is news, and never longer than their client."""

import gc
import weakref

import pytest
from twisted.internet.task import Clock

from mtnet.errors import HttpError, WireError
from mtnet.net.http.long_poll import LongPoll


@pytest.fixture
def released():
    return []


@pytest.fixture
def poll(clock, released):
    return LongPoll(clock, 10, lambda: "news", lambda: released.append(True))


@pytest.fixture
def answers(poll):
    found = []
    poll.deferred.addBoth(found.append)
    return found


def test_news_are_answered_at_once_and_once(poll, answers, released, clock):
    poll.notify("what happened")
    poll.notify()
    assert (answers, released, clock.getDelayedCalls()) == (["news"], [True], [])


def test_it_is_answered_when_its_time_is_over(poll, answers, released, clock):
    clock.advance(9.9)
    assert answers == []
    clock.advance(0.1)
    assert (answers, released) == (["news"], [True])


def test_nothing_is_left_of_it_when_its_client_leaves(poll, answers, released, clock):
    poll.leave()
    poll.notify()
    assert (answers, released, clock.getDelayedCalls()) == ([], [True], [])


def test_what_answers_it_is_freed_at_once_without_a_collection_of_garbage(clock):
    class Answer:
        def make(self):
            return f"news of {poll!r}"

    gc.disable()
    try:
        answer = Answer()
        poll = LongPoll(clock, 10, answer.make, lambda: poll)
        gone = weakref.ref(answer)
        poll.notify()
        del answer
        assert gone() is None
    finally:
        gc.enable()


def test_a_login_that_ends_ends_it(poll, answers, released):
    poll.evict()
    poll.evict()
    (failure,) = answers
    assert (failure.check(HttpError), failure.value.status) == (HttpError, 401)
    assert released == [True]


def test_an_answer_that_cannot_be_made_is_an_error():
    def fail():
        raise WireError("server", "The journal is gone")

    poll, found = LongPoll(Clock(), 1, fail), []
    poll.deferred.addErrback(lambda failure: found.append(failure.value.code))
    poll.notify()
    assert found == ["server"]
