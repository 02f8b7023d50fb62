"""Clients of asyncio, against a server on loopback: entries, answers, failures and restarts."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import wraps

import pytest
from local_server import LineSession, SocketLineSession, SocketSession, serving, until
from publishing import FakeServer

from mtnet.client import aio, sync
from mtnet.client.aio import Login, Position
from mtnet.client.core import events
from mtnet.client.core.login import check_private_peer
from mtnet.errors import ClientError, RefusedError
from mtnet.services.signals import wire
from mtnet.services.signals.wire import Publish
from mtnet.session import messages
from mtnet.session.messages import Hello


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Connect again after hundredths of a second."""
    monkeypatch.setattr("mtnet.client.core.session.backoff", lambda attempt: 0.01)
    monkeypatch.setattr("mtnet.client.core.lines.backoff", lambda attempt: 0.01)


def asynchronous(test):
    @wraps(test)
    def run(*arguments, **options):
        asyncio.run(asyncio.wait_for(test(*arguments, **options), 20))

    return run


def shown(entry):
    return f"{entry.symbol} {entry.volume:f}"


async def take(entries, count):
    """Return the next entries as text; each is handled when the next is asked for."""
    found = []
    async for entry in entries:
        found.append(shown(entry))
        if len(found) == count:
            entries.handled()
            return found
    return found


async def fail(entries):
    async for entry in entries:
        raise ZeroDivisionError(shown(entry))


def fail_in_a_script(entries):
    for entry in entries:
        raise ZeroDivisionError(shown(entry))


class Journal(FakeServer):
    """A server whose SUBSCRIBE is answered by what was missed, or by a snapshot."""

    def __init__(self, **lots):
        super().__init__()
        self.asked, self.entries, self.epoch = [], [], "0123456789abcdef"
        for symbol, volume in lots.items():
            self.enter(symbol, volume)

    def enter(self, symbol, volume):
        self._enter(Publish("", symbol, wire.VOLUME.read(volume)))
        self.entries.append((self.seq, symbol, volume))
        self.tell(self.signal(self.entries[-1]))

    def signal(self, entry):
        seq, symbol, volume = entry
        fields = f"channel=main|seq={seq}|symbol={symbol}|volume={volume}|time=1|h={seq:08x}"
        return f"<<SIGNAL|{fields}>>\r\n".encode()

    def takes(self, session, request):
        if isinstance(request, Hello):
            session.say(messages.welcome(5.0, 1, epoch=self.epoch))
        elif isinstance(request, wire.Subscribe):
            self.asked.append((request.epoch, request.after))
            self.answer_subscribe(session, request)
        else:
            super().takes(session, request)

    def answer_subscribe(self, session, asked):
        if asked.epoch == self.epoch:
            missed = [each for each in self.entries if each[0] > asked.after]
            session.say(*map(self.signal, missed))
        else:
            book = [(symbol, volume) for (symbol, _), (volume, _) in self.book.items()]
            session.say(wire.snapshot("main", self.epoch, self.seq, len(book)))
            for symbol, volume in book:
                text = f"<<POSITION|channel=main|seq=1|symbol={symbol}|volume={volume}|time=1>>\r\n"
                session.say(text.encode())
        session.say(self.synced())
        self.followers.add(session)

    def synced(self):
        return wire.synced("main", self.epoch, self.seq, f"{self.seq:08x}")


# Followers


class Limited(Journal):
    """A server whose channel is a view with limits."""

    limits = {"max_age": "30", "max_slippage": "0.0005"}  # noqa: RUF012

    def synced(self):
        return wire.synced("main", self.epoch, self.seq, f"{self.seq:08x}", **self.limits)


def limits(entries):
    return entries.max_age, entries.max_slippage


@asynchronous
async def test_a_follower_of_a_view_has_its_limits_and_keeps_them_for_the_next_run(tmp_path):
    said = []
    async with serving(Limited(A="1")) as local:
        options = {"state": tmp_path / "state", "on_event": said.append}
        async with aio.follow(local.address, **options) as entries:
            assert await take(entries, 1) == ["A 1"]
            assert limits(entries) == (30.0, Decimal("0.0005"))
            local.server.enter("B", "1")
            assert await take(entries, 1) == ["B 1"]
        sentence = "Open no position more than 30 s after its opening or more than 0.0005 from"
        assert sentence in " ".join(map(str, said))
        again = aio.follow(local.address, **options)
        assert limits(again) == (30.0, Decimal("0.0005"))


@asynchronous
async def test_limits_that_change_alone_are_kept_too(tmp_path):
    async with serving(Limited(A="1")) as local:
        async with aio.follow(local.address, state=tmp_path / "state") as entries:
            assert await take(entries, 1) == ["A 1"]
            local.server.limits = {}
            local.server.tell(local.server.synced())
            waiting = asyncio.ensure_future(take(entries, 1))
            await until(lambda: limits(entries) == (None, None))
            local.server.enter("B", "1")
            assert await waiting == ["B 1"]
        assert limits(aio.follow(local.address, state=tmp_path / "state")) == (None, None)


@asynchronous
async def test_a_script_has_the_limits_of_a_view():
    async with serving(Limited(A="1")) as local:

        def script():
            with sync.follow(local.address) as entries:
                next(entries)
                return limits(entries)

        assert await asyncio.to_thread(script) == (30.0, Decimal("0.0005"))


@asynchronous
async def test_a_follower_gets_the_state_and_then_each_change_once():
    async with serving(Journal(A="1", B="2")) as local, aio.follow(local.address) as entries:
        assert await take(entries, 2) == ["A 1", "B 2"]
        local.server.enter("A", "0")
        local.server.enter("C", "3")
        assert await take(entries, 2) == ["A 0", "C 3"]
        local.cut()
        local.server.enter("B", "5")
        assert await take(entries, 1) == ["B 5"]
        assert local.server.asked == [(None, None), (local.server.epoch, 4)]
        assert {key[0] for key in entries.positions} == {"B", "C"}


@asynchronous
async def test_a_program_goes_on_where_it_was_after_its_own_restart(tmp_path):
    async with serving(Journal(A="1", B="2")) as local:
        state = tmp_path / "main.state"
        async with aio.follow(local.address, state=state) as entries:
            await take(entries, 2)
        local.server.enter("A", "0")
        local.server.enter("B", "3")
        async with aio.follow(local.address, state=state) as entries:
            assert (entries.seq, entries.epoch) == (2, local.server.epoch)
            assert await take(entries, 2) == ["A 0", "B 3"]
        assert local.server.asked == [(None, None), (local.server.epoch, 2)]


@asynchronous
async def test_an_entry_on_which_the_loop_failed_comes_again_to_the_next_loop_and_run(tmp_path):
    async with serving(Journal(A="1", B="2")) as local:
        options = {"state": tmp_path / "main.state"}
        async with aio.follow(local.address, **options) as entries:
            assert await take(entries, 1) == ["A 1"]
            for _ in range(2):
                with pytest.raises(ZeroDivisionError, match="B 2"):
                    await fail(entries)
        local.server.enter("B", "3")
        async with aio.follow(local.address, **options) as entries:
            assert await take(entries, 1) == ["B 3"], "the state at its next connection"


@asynchronous
async def test_what_a_snapshot_does_not_name_is_closed_first(tmp_path):
    state = tmp_path / "main.state"
    async with (
        serving(Journal(A="1", B="2")) as local,
        aio.follow(local.address, state=state) as entries,
    ):
        await take(entries, 2)
    async with serving(Journal(B="3", C="1", D="1", E="1", F="1")) as local:
        local.server.answer_subscribe = lambda session, asked: Journal.answer_subscribe(
            local.server, session, wire.Subscribe("main")
        )
        async with aio.follow(local.address, state=state) as entries:
            assert await take(entries, 2) == ["A 0", "B 3"]


async def open_and_die(address, state):
    """Act on the first entry, and come back for no other, as a program that is killed."""
    async with aio.follow(address, state=state) as entries:
        async for entry in entries:
            return f"{entry.symbol} {entry.volume}"


@asynchronous
async def test_an_opening_on_which_the_first_run_died_is_closed_by_a_later_one(tmp_path):
    state = tmp_path / "main.state"
    async with serving(Journal(A="1")) as local:
        assert await open_and_die(local.address, state) == "A 1"
    async with (
        serving(Journal(B="2")) as local,
        aio.follow(local.address, state=state) as entries,
    ):
        assert await take(entries, 2) == ["A 0", "B 2"]


@asynchronous
async def test_an_opening_on_which_a_run_died_is_named_when_it_is_not_followed_any_more(
    tmp_path, caplog
):
    state = tmp_path / "main.state"
    async with serving(Journal(A="1")) as local:
        assert await open_and_die(local.address, state) == "A 1"
    async with (
        serving(Journal(B="2")) as local,
        aio.follow(local.address, state=state, symbols=["B"]) as entries,
    ):
        assert await take(entries, 1) == ["B 2"]
    assert "not followed any more: A." in caplog.text


@asynchronous
async def test_another_history_hands_out_nothing_until_it_is_accepted(tmp_path):
    state, told = tmp_path / "main.state", []
    async with (
        serving(Journal(A="1")) as local,
        aio.follow(local.address, state=state) as entries,
    ):
        await take(entries, 1)
    async with serving(Journal(B="3")) as local:
        local.server.epoch = "00000000000000bb"
        async with aio.follow(local.address, state=state, on_event=told.append) as entries:
            waiting = asyncio.create_task(take(entries, 2))
            await until(lambda: entries.held)
            assert not waiting.done()
            assert "another journal" in " ".join(map(str, told))
            entries.accept()
            assert await waiting == ["A 0", "B 3"]
            assert entries.epoch == local.server.epoch


@asynchronous
async def test_positions_that_are_not_followed_any_more_are_named(tmp_path, caplog):
    state = tmp_path / "main.state"
    async with serving(Journal(A="1", B="2")) as local:
        async with aio.follow(local.address, state=state) as entries:
            await take(entries, 2)
        async with aio.follow(local.address, state=state, symbols=["B"]) as entries:
            assert [key[0] for key in entries.positions] == ["B"]
    assert "not followed any more: A." in caplog.text


@asynchronous
async def test_a_server_that_is_not_there_is_named_once_and_tried_again(caplog):
    async with serving(Journal(A="1")) as local:
        local.listening.close()
        async with aio.follow(local.address) as entries:
            waiting = asyncio.create_task(take(entries, 1))
            await asyncio.sleep(0.2)
            said = [each for each in caplog.messages if "No connection" in each]
            assert said == [f"No connection to {local.address}: Connection refused."]
            await local.open()
            assert await waiting == ["A 1"]


@asynchronous
async def test_a_follower_that_stays_blind_says_so_once(caplog):
    class Closed:
        def takes(self, session, request):
            session.transport.close()

    async with serving(Closed()) as local, aio.follow(local.address):
        await until(lambda: len(local.sessions) > 5)
    assert caplog.text.count("Nothing is known of the channel") == 1


@asynchronous
async def test_without_retry_the_first_failure_is_raised():
    async with serving(Journal(A="1")) as local:
        entries = aio.follow(local.address, retry=False)
        assert await take(entries, 1) == ["A 1"]
        local.cut()
        with pytest.raises(ClientError, match="is lost"):
            await take(entries, 1)
        local.close()
        with pytest.raises(ClientError, match=r"No connection to .*: Connection refused"):
            await take(aio.follow(local.address, retry=False), 1)


@asynchronous
async def test_a_refused_login_ends_the_loop():
    class Guarded:
        def takes(self, session, request):
            session.say(messages.error("login", "This login is not known."))

    async with serving(Guarded()) as local:
        with pytest.raises(RefusedError, match="not known"):
            await take(aio.follow(local.address, login=Login("joe", "canary")), 1)
        assert len(local.sessions) == 1


def test_a_password_is_not_sent_in_clear_to_another_machine():
    with pytest.raises(ClientError, match=r"not sent in clear to 192\.0\.2\.7"):
        check_private_peer("192.0.2.7")
    check_private_peer("127.0.0.1")
    check_private_peer("")


@asynchronous
async def test_closing_ends_a_loop_that_waits():
    async with serving(Journal(A="1")) as local:
        entries = aio.follow(local.address)
        waiting = asyncio.create_task(take(entries, 2))
        await until(lambda: entries.seq == 1)
        await entries.close()
        assert await waiting == ["A 1"]


@asynchronous
async def test_a_program_that_is_behind_reads_no_more_until_it_comes_back(monkeypatch):
    monkeypatch.setattr("mtnet.client.aio.follower.MOST_WAITING", 10)
    async with serving(Journal()) as local, aio.follow(local.address) as entries:
        await until(lambda: not entries.blind)
        for number in range(500):
            local.server.enter("A", f"{number + 1}")
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        assert await take(entries, 500) == [f"A {number + 1}" for number in range(500)]


@asynchronous
async def test_notices_and_refusals_are_logged_as_sentences(caplog):
    caplog.set_level(logging.INFO, "mtnet.client")
    async with serving(Journal(A="1")) as local, aio.follow(local.address) as entries:
        await take(entries, 1)
        local.server.tell(wire.notice("Closed at 21:00."), b"<<WEATHER|sky=blue>>\r\n")
        local.server.tell(wire.paused("main", "frozen"), wire.flattened("main"))
        await until(lambda: "every position of main" in caplog.text)
        assert entries.paused == "frozen"
    assert "Closed at 21:00." in caplog.text
    assert "main is frozen: it takes nothing" in caplog.text


@asynchronous
async def test_an_acknowledgement_reaches_the_server():
    async with serving(Journal(A="1")) as local, aio.follow(local.address) as entries:
        async for entry in entries:
            entries.acknowledge(entry.seq, "filled", volume=entry.volume)
            break
        await until(lambda: b"ACK|channel=main|seq=1|status=filled|volume=1" in local.heard)
        with pytest.raises(ClientError, match="price"):
            entries.acknowledge(1, "filled", price="cheap")


@asynchronous
async def test_an_event_on_which_the_program_failed_ends_the_loop():
    async with serving(Journal(A="1")) as local:

        def fail(event):
            raise ZeroDivisionError(str(event))

        with pytest.raises(ZeroDivisionError):
            await take(aio.follow(local.address, on_event=fail), 9)


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
