"""Followers of asyncio, against a server on loopback: entries, failures and restarts."""

import asyncio
import logging
from decimal import Decimal

import pytest
from aio_harness import Journal, asynchronous, shown, take
from local_server import serving, until

from mtnet.client import aio, sync
from mtnet.client.aio import Login
from mtnet.client.core.login import check_private_peer
from mtnet.errors import ClientError, RefusedError
from mtnet.services.signals.wire import answers, requests
from mtnet.session import messages

pytestmark = pytest.mark.usefixtures("quick")


async def fail(entries):
    async for entry in entries:
        raise ZeroDivisionError(shown(entry))


# Followers


class Limited(Journal):
    """A server whose channel is a view with limits."""

    limits = {"max_age": "30", "max_slippage": "0.0005"}  # noqa: RUF012

    def synced(self):
        return answers.synced("main", self.epoch, self.seq, f"{self.seq:08x}", **self.limits)


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
            local.server, session, requests.Subscribe("main")
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
        local.server.tell(answers.notice("Closed at 21:00."), b"<<WEATHER|sky=blue>>\r\n")
        local.server.tell(answers.paused("main", "frozen"), answers.flattened("main"))
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
