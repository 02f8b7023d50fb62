"""Requests whose end can be read in two ways: request smuggling (RFC 9112, 6 and 11.2)."""

import re

import pytest
from fakes.http import HttpPort

from mtnet.interfaces import ITicks

HIDDEN = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that a proxy in front could take for a part of the one before."""
HEAD = b"POST /v1/ticks HTTP/1.1\r\nHost: localhost\r\n"
CHUNKS = b"0\r\n\r\n"


@pytest.fixture
def web(env_with):
    return HttpPort(env_with())


def statuses(answer):
    return [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)]


def send(web, *pieces):
    terminal = web.dial()
    for each in pieces:
        terminal.send(each)
        for _ in range(3):
            web.clock.advance(0)
    return terminal, statuses(terminal.received())


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length: \xd9\xa5\r\n",
        b"Content-Length:\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length : 5\r\n",
        b" Content-Length: 5\r\n",
    ],
)
def test_a_body_whose_end_is_doubtful_is_never_followed_by_a_request(web, headers):
    terminal, found = send(web, HEAD + headers + b"\r\n" + CHUNKS + HIDDEN)
    assert 200 not in found
    assert terminal.closed
    assert web.env.find(ITicks).symbols() in ([], {}.keys())


@pytest.mark.parametrize(
    "chunks",
    [
        b"5;x=\n\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_chunk_that_is_none_ends_the_connection(web, chunks):
    terminal, found = send(web, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + HIDDEN)
    assert 200 not in found[1:]
    assert terminal.closed or found == []


def test_a_body_in_chunks_and_a_request_behind_it_are_two(web):
    body = b"a\r\nEURUSD 1.1\r\n0\r\n\r\n"
    terminal, found = send(web, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body + HIDDEN)
    assert (found, terminal.closed) == ([200, 200], False)


def test_a_body_that_is_longer_than_it_says_is_a_request_of_its_own(web):
    """The rest is no request, and is answered with 400: it never becomes part of the next one."""
    terminal, found = send(web, HEAD + b"Content-Length: 10\r\n\r\nEURUSD 1.1GARBAGE\r\n\r\n")
    assert found == [200, 400]
    assert terminal.closed


@pytest.mark.parametrize("data", [HEAD + b"Content-Length: 100\r\n\r\nEURUSD 1.1", HEAD])
def test_a_slow_body_is_given_up_and_stores_nothing(web, clock, data):
    terminal = web.dial()
    for at in range(0, len(data), 10):
        terminal.send(data[at : at + 10])
        clock.advance(0.5)
    for _ in range(40):  # a byte now and then does not help
        terminal.send(b"1")
        clock.advance(1)
    assert terminal.closed
    assert statuses(terminal.received()) == []
    assert list(web.env.find(ITicks).symbols()) == []
