"""Coroutines that seldom wait."""

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from mtnet.coroutines import result_of, run


async def twice(*waiting):
    return [await each for each in waiting]


def test_one_that_does_not_wait_has_its_result_at_once():
    assert run(twice(succeed(1), succeed(2))) == [1, 2]


def test_one_that_waits_has_it_later():
    first, second, found = Deferred(), Deferred(), []
    run(twice(first, succeed(0), second)).addCallback(found.append)
    first.callback(1)
    assert found == []
    second.callback(2)
    assert found == [[1, 0, 2]]


def test_a_deferred_that_it_returns_is_its_result():
    async def wait(first):
        await first
        return last

    for first in (succeed(0), Deferred()):
        last, found = Deferred(), []
        run(wait(first)).addCallback(found.append)
        if not first.called:
            first.callback(0)
        last.callback("last")
        assert found == ["last"]


def test_what_it_raises_comes_to_the_caller_or_to_the_deferred():
    with pytest.raises(ZeroDivisionError):
        run(twice(fail(ZeroDivisionError())))
    waiting, found = Deferred(), []
    run(twice(waiting)).addErrback(lambda failure: found.append(failure.type))
    waiting.errback(ZeroDivisionError())
    assert found == [ZeroDivisionError]


def test_it_can_catch_what_it_waited_for():
    async def catch(waiting):
        try:
            await waiting
        except ZeroDivisionError:
            return "caught"

    waiting, found = Deferred(), []
    run(catch(waiting)).addCallback(found.append)
    waiting.errback(ZeroDivisionError())
    assert found == ["caught"]


def test_what_never_waits_has_its_result_or_raises_its_error():
    assert result_of(succeed(1)) == 1
    with pytest.raises(ZeroDivisionError):
        result_of(fail(ZeroDivisionError()))
