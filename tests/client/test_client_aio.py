"""Publishers, ticks, WebSockets and scripts of asyncio, against a server on loopback."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aio_harness import Journal, asynchronous, shown, take
from local_server import LineSession, SocketLineSession, SocketSession, serving, until
from publishing import FakeServer

from mtnet.client import aio, sync
from mtnet.client.aio import Login, Position
from mtnet.client.core import events
from mtnet.errors import ClientError, RefusedError
from mtnet.session import messages

pytestmark = pytest.mark.usefixtures("quick")


def fail_in_a_script(entries):
    for entry in entries:
        raise ZeroDivisionError(shown(entry))


# Publishers


@asynchronous
async def test_signals_are_confirmed_in_order_and_sent_again_after_a_break():
    async with serving(FakeServer()) as local:
        async with aio.Publisher(local.address) as publisher:
            assert await publisher.publish("A", "1") == 1
            local.server.answer = "silent"
            waiting = asyncio.create_task(publisher.publish("A", "2", id="two"))
            await until(lambda: "two" in local.server.stored)
            local.server.answer = "store"
            local.cut()
            assert await waiting == 2
            assert publisher.waiting == 0
        await until(lambda: b"<<BYE>>" in local.heard)


@asynchronous
async def test_a_refusal_is_raised_with_its_code():
    async with serving(FakeServer()) as local:
        local.server.answer = "field"
        async with aio.Publisher(local.address) as publisher:
            with pytest.raises(RefusedError) as caught:
                await publisher.publish("A", "1")
            assert caught.value.code == "field"
            with pytest.raises(ClientError, match="is refused"):
                await publisher.publish("A", "much")


@asynchronous
async def test_a_fenced_publisher_fails_what_waits_and_what_comes(caplog):
    async with serving(FakeServer()) as local:
        local.server.answer = "fenced"
        async with aio.Publisher(local.address) as publisher:
            for _ in range(2):
                with pytest.raises(ClientError, match="Another publisher holds main"):
                    await publisher.publish("A", "1")
            await asyncio.sleep(0.1)
            assert len(local.sessions) == 1, "it does not come back"
            assert local.heard.endswith(b"<<BYE>>\r\n")
    assert "this one has stopped" in caplog.text


@asynchronous
async def test_a_publisher_whose_login_is_refused_fails_and_does_not_come_back(caplog):
    class Guarded:
        def takes(self, session, request):
            session.say(messages.error("login", "This login is not known."))

    async with (
        serving(Guarded()) as local,
        aio.Publisher(local.address, login=Login("joe", "canary")) as publisher,
    ):
        with pytest.raises(ClientError, match="not known"):
            await publisher.publish("A", "1")
        await asyncio.sleep(0.1)
        assert len(local.sessions) == 1
    assert "not known" in caplog.text


@asynchronous
async def test_a_wait_that_is_cancelled_takes_nothing_back():
    async with serving(FakeServer()) as local:
        local.server.answer = "silent"
        async with aio.Publisher(local.address) as publisher:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(publisher.publish("A", "1", id="one"), 0.2)
            local.server.answer = "store"
            local.cut()
            await until(lambda: publisher.waiting == 0)
            assert local.server.order == ["one"]


@asynchronous
async def test_what_waits_fails_when_the_publisher_is_closed_or_may_not_retry():
    async with serving(FakeServer()) as local:
        local.server.answer = "silent"
        publisher = aio.Publisher(local.address)
        waiting = asyncio.create_task(publisher.publish("A", "1"))
        await until(lambda: local.server.stored)
        await publisher.close()
        with pytest.raises(ClientError, match="may be stored all the same"):
            await waiting
        publisher = aio.Publisher(local.address, retry=False)
        waiting = asyncio.create_task(publisher.publish("B", "1"))
        await until(lambda: len(local.server.stored) == 2)
        local.cut()
        with pytest.raises(ClientError, match="is lost"):
            await waiting
        with pytest.raises(ClientError, match="is lost"):
            await publisher.publish("B", "1")


@asynchronous
async def test_one_signal_is_published_and_says_when_it_is_not_confirmed():
    async with serving(FakeServer()) as local:
        assert await aio.publish(local.address, "A", "0.30000000000000004", sl="1.2") == 1
        assert dict(local.server.stored.values().__iter__().__next__()[1].fields) == {"sl": "1.2"}
        assert b"volume=0.3|" in local.heard
        assert b"take=0" in local.heard
        local.server.answer = "silent"
        with pytest.raises(ClientError, match="may still be stored later"):
            await aio.publish(local.address, "A", "2", timeout=0.2)


@asynchronous
async def test_a_publisher_with_its_positions_keeps_the_channel_equal_to_them():
    async with serving(FakeServer()) as local:
        local.server.book["B", ""] = 2, {}
        held = [Position("A", "1"), Position("B", "1")]
        async with aio.Publisher(local.address, positions=lambda: held):
            await until(lambda: len(local.server.order) == 2)
        assert local.server.published == ["B 1", "A 1"]


@asynchronous
async def test_a_publisher_beside_another_states_no_positions():
    with pytest.raises(ClientError, match="take is 'free' or '1', not '0'"):
        aio.Publisher("tcp:127.0.0.1:1", positions=list, take="0")


# Ticks


class TickPort:
    def __init__(self):
        self.readers = set()

    def takes(self, session, line):
        if line.startswith(b"SUBSCRIBE:"):
            self.readers.add(session)
            session.say(b"OK: SUBSCRIBED *\r\n", self.tick("1.1"))
        elif line.startswith(b"LOGIN:"):
            session.say(b"ERR: login This login is not known\r\n")

    def tick(self, bid):
        return f"TICK: EURUSD {bid} - - - - - 1700000000000\r\n".encode()

    def say(self, bid):
        for each in self.readers:
            each.say(self.tick(bid))


@asynchronous
async def test_ticks_come_one_by_one_and_again_after_a_break():
    told = []
    async with (
        serving(TickPort(), LineSession) as local,
        aio.ticks(local.address, ["EURUSD"], on_event=told.append) as stream,
    ):
        assert (await anext(stream)).bid == "1.1"
        local.server.say("1.2")
        assert (await anext(stream)).bid == "1.2"
        local.cut()
        assert (await anext(stream)).bid == "1.1"
    assert [type(each) for each in told] == [events.Connected, events.Lost, events.Connected]
    assert local.heard == b"SUBSCRIBE: EURUSD\r\n" * 2


@asynchronous
async def test_a_login_that_ticks_refuse_ends_the_loop():
    async with serving(TickPort(), LineSession) as local:
        with pytest.raises(RefusedError, match="not known"):
            await anext(aio.ticks(local.address, login=Login("joe", "canary")))


# WebSockets


@asynchronous
async def test_signals_are_followed_and_published_over_a_websocket(tmp_path):
    state = tmp_path / "main.state"
    async with serving(Journal(A="1"), SocketSession) as local:
        async with aio.follow(local.address, state=state) as entries:
            assert await take(entries, 1) == ["A 1"]
            assert await aio.publish(local.address, "B", "0.25", comment="a|b") == 2
            assert await take(entries, 1) == ["B 0.25"]
            local.cut()
            local.server.enter("C", "3")
            assert await take(entries, 1) == ["C 3"]
            assert local.server.asked[-1] == (local.server.epoch, 2)
        await until(lambda: local.sessions[-1].end.closes == [1001])
        async with aio.Publisher(local.address) as publisher:
            assert await publisher.publish("D", "1") == 4


@asynchronous
async def test_ticks_come_over_a_websocket():
    async with (
        serving(TickPort(), SocketLineSession) as local,
        aio.ticks(local.address, ["EURUSD"]) as stream,
    ):
        assert (await anext(stream)).bid == "1.1"
        local.server.say("1.2")
        assert (await anext(stream)).bid == "1.2"


# Scripts


def test_a_script_follows_publishes_and_receives_ticks_while_a_loop_runs(tmp_path):
    """As in a notebook, whose own event loop runs in the thread of the script."""

    async def work():
        async with (
            serving(Journal(A="1", B="2")) as local,
            serving(TickPort(), LineSession) as ticks,
        ):
            await asyncio.to_thread(script, local, ticks)

    def script(local, ticks):
        state = tmp_path / "main.state"
        with sync.follow(local.address, state=state) as entries:
            with pytest.raises(ZeroDivisionError, match="A 1"):
                fail_in_a_script(entries)
            found = []
            for entry in entries:
                found.append(shown(entry))
                if len(found) == 2:
                    entries.acknowledge(entry.seq, "filled")
                    entries.handled()
                    break
            assert found == ["A 1", "B 2"]
            assert (entries.seq, entries.blind, entries.held, entries.paused) == (
                2,
                False,
                False,
                None,
            )
            entries.close()
            assert list(entries) == []
        with sync.Publisher(local.address) as publisher:
            assert publisher.publish("C", "1") == 3
            assert publisher.waiting == 0
        assert sync.publish(local.address, "D", "1") == 4
        with sync.ticks(ticks.address, ["EURUSD"]) as stream:
            assert next(iter(stream)).bid == "1.1"
        with pytest.raises(ClientError, match="Invalid endpoint"):
            sync.follow("nowhere")

    asyncio.run(asyncio.wait_for(work(), 20))


def test_threads_that_begin_together_share_one_loop(monkeypatch):
    def slow():
        loop = make_loop()
        time.sleep(0.05)
        return loop

    make_loop = asyncio.new_event_loop
    sync._start_loop.cache_clear()
    monkeypatch.setattr(asyncio, "new_event_loop", slow)
    with ThreadPoolExecutor(8) as threads:
        loops = {found.result() for found in [threads.submit(sync._loop) for _ in range(8)]}
    assert len(loops) == 1
