"""Commands and batches on the tick port for streams."""

import re

import pytest
from refused_symbols import refuse_symbol

from mtnet.errors import JournalError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.storage import hot

# Commands


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
@pytest.mark.parametrize("secret", [b"desk hunter2", b"desk hunter2 and more", b"hunter2"])
def test_a_login_is_refused_and_its_secret_neither_logged_nor_echoed(serve, log, secret, end, size):
    answer = serve().ask(b"LOGIN: " + secret + end, size)
    assert answer.startswith(b"ERR: login ")
    assert answer.endswith(b"\r\n")
    assert b"hunter2" not in answer
    assert "hunter2" not in "".join(map(str, log))


def test_a_login_that_is_cut_is_not_logged_either(serve, log):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"LOGIN: desk hunter2")
    server.cut(terminal)
    assert "hunter2" not in "".join(map(str, log))


@pytest.mark.parametrize("command", [b"HELP: me", b"LOGOUT:", b"QUIT:", b"PINGS: 1"])
def test_an_unknown_command_is_answered_with_those_that_there_are(serve, command):
    server = serve()
    answer = server.ask(command + b"\r\nPING:\r\n")
    error, pong = answer.splitlines()
    assert error.startswith(b"ERR: command ")
    assert b"SUBSCRIBE" in error
    assert pong == b"OK: PONG"


@pytest.mark.parametrize("line", [b"ping:", b"PING :", b"P:", b"PING:1", b" PING:"])
def test_what_is_no_command_is_a_bad_record(serve, line):
    server = serve()
    assert server.ask(line + b"\n").startswith(b"ERR: tick ")
    assert server.count("refused") == [1]


def test_a_sync_counts_what_is_on_disk_once_it_is(serve):
    server = serve()
    terminal = server.dial()
    assert server.say(terminal, b"SYNC:\n") == b"OK: SYNC 0\r\n"
    assert server.say(terminal, b"EURUSD 1.1\nEURUSD 1.2\nSYNC:\n") == b"OK: SYNC 2\r\n"
    assert server.count("stored", "waiting") == [2, 0]
    assert server.say(terminal, b"EURUSD 1.3\nSYNC:\n") == b"OK: SYNC 3\r\n"


def test_a_sync_counts_the_records_of_its_own_connection(serve):
    server = serve()
    server.ask(b"EURUSD 1.1\n")
    assert server.ask(b"EURUSD 1.2\nSYNC:\n") == b"OK: SYNC 1\r\n"


def test_a_sync_counts_repetitions_and_neither_refused_nor_dropped_records(serve, clock):
    server = serve("ticks.queue=2")
    server.ask(b"@@desk 1\nEURUSD 1.1\n")
    clock.advance(1)
    answer = server.ask(
        b"@@desk 1\nEURUSD 1.1\n@@desk 2\nEURUSD x\nEURUSD 1.2\nEURUSD 1.3\nSYNC:\n"
    )
    assert answer.endswith(b"OK: SYNC 3\r\n")
    full = server.dial()
    full.send(b"EURUSD 1.4\nEURUSD 1.5\nPING:\nEURUSD 1.6\nSYNC:\n")
    clock.advance(0)
    assert full.received() == b"OK: PONG\r\nOK: SYNC 2\r\n"


def test_a_sync_says_that_the_disk_refuses_and_the_next_one_that_all_is_there(serve, monkeypatch):
    def refuse(store, commit):
        raise JournalError("/srv/ticks.log cannot be written: the disk is full.")

    server = serve()
    terminal = server.dial()
    with monkeypatch.context() as patch:
        patch.setattr(hot.HotStore, "commit", refuse)
        answer = server.say(terminal, b"EURUSD 1.1\nSYNC:\n")
        assert answer == b"ERR: server The ticks are not on the disk yet; send SYNC: again\r\n"
    assert server.say(terminal, b"SYNC:\n") == b"OK: SYNC 1\r\n"
    assert server.stored() == ["EURUSD 1.1"]


def test_what_follows_a_sync_is_worked_off_after_its_answer(serve):
    answer = serve().ask(b"EURUSD 1.1\nSYNC:\nEURUSD 1.2\nPING:\nSYNC:\n")
    assert answer == b"OK: SYNC 1\r\nOK: PONG\r\nOK: SYNC 2\r\n"


# Batches


def test_each_connection_is_told_what_the_store_would_not_have_of_its_own(serve, monkeypatch):
    monkeypatch.setattr(hot, "LIMIT", 0)  # the log would have it
    server = serve()
    refuse_symbol(f"{server.env.config.data}/ticks.sqlite", "POISON", "symbol")
    honest, poisoned = server.dial(), server.dial()
    server.say(honest, b"@@honest 1\nEURUSD 1.1\n")
    answer = server.say(poisoned, b"@@poisoned 1\nPOISON 1\nGBPUSD 1.3\nSYNC:\n")
    assert answer == (
        b"ERR: tick 1 of the records were taken, and the store will not have them\r\nOK: SYNC 1\r\n"
    )
    assert server.say(honest, b"SYNC:\n") == b"OK: SYNC 1\r\n"
    assert server.stored() == ["EURUSD 1.1", "GBPUSD 1.3"]


BATCH = b"@@desk 7\nEURUSD 1\nEURUSD 2\nEURUSD 3\n"


@pytest.mark.parametrize("at", range(len(BATCH) + 1))
def test_a_batch_whose_connection_was_cut_anywhere_is_completed_by_the_resend(serve, at):
    server = serve()
    terminal = server.dial()
    server.say(terminal, BATCH[:at])
    server.cut(terminal)
    assert server.ask(BATCH + b"SYNC:\n") == b"OK: SYNC 3\r\n"
    assert server.stored() == ["EURUSD 1", "EURUSD 2", "EURUSD 3"]


@pytest.mark.parametrize("command", [b"PING:\n", b"SYNC:\n", b"SUBSCRIBE: XAUUSD\n"])
@pytest.mark.parametrize("where", ["the same daemon", "the next daemon"])
@pytest.mark.parametrize("when", ["both times", "the second time"])
def test_a_command_within_a_batch_makes_no_double_of_its_resend(serve, command, where, when):
    server = serve()
    batch = b"@@desk 7\nEURUSD 1\n" + command + b"EURUSD 2\nEURUSD 3\n"
    server.ask(batch if when == "both times" else batch.replace(command, b""))
    if where == "the next daemon":
        server.env.find(ITicks).close()
        server = serve()
    answer = server.ask(batch + b"SYNC:\n")
    assert server.stored() == ["EURUSD 1", "EURUSD 2", "EURUSD 3"]
    assert answer.endswith(b"OK: SYNC 3\r\n")


def test_a_sync_early_in_a_batch_of_many_reads_makes_no_double_of_its_resend(serve):
    server = serve()
    lines = [b"@@desk 7\nEURUSD 0\nSYNC:\n", *[b"EURUSD %d\n" % at for at in range(1, 400)]]
    for _ in range(2):
        terminal = server.dial()
        for line in lines:
            server.say(terminal, line)
        assert server.say(terminal, b"SYNC:\n") == b"OK: SYNC 400\r\n"
        server.cut(terminal)
    assert server.stored() == [f"EURUSD {at}" for at in range(400)]


def test_a_sync_within_a_batch_that_is_sent_again_promises_what_is_on_disk_and_no_more(serve):
    server = serve()
    server.ask(BATCH)
    terminal = server.dial()
    answer = server.say(terminal, b"@@desk 7\nEURUSD 1\nEURUSD 9\nSYNC:\n")
    (promised,) = map(int, re.findall(rb"OK: SYNC ([0-9]+)", answer))
    on_disk = server.stored()
    assert promised in (0, 2)
    assert on_disk.count("EURUSD 9") == (promised == 2)


def test_a_resend_with_other_bytes_is_a_restart_and_is_stored(serve):
    server = serve()
    server.ask(BATCH)
    assert server.ask(BATCH.replace(b" 3", b" 4") + b"SYNC:\n") == b"OK: SYNC 3\r\n"
    assert len(server.stored()) == 6
    assert server.env.find(ITicks).source("desk").restarts == 1


@pytest.mark.parametrize(
    "header", [b"@@desk", b"@@desk x", b"@@de/sk 1", b"@@desk 9223372036854775808"]
)
def test_a_bad_header_is_answered_and_counted_and_the_records_behind_it_kept(serve, header):
    server = serve()
    assert server.ask(header + b"\nEURUSD 1.1\n").startswith(b"ERR: header ")
    assert server.stored() == ["EURUSD 1.1"]
    assert server.count("refused") == [1]
