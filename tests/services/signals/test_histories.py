"""What followers and their owner learn when a copy of the data folder is put back."""

import shutil

import pytest
from journal_damages import shell
from signals_peers import Server, told
from twisted.internet.defer import Deferred

from mtnet.errors import JournalError, WireError
from mtnet.services.signals.history.divergence import MAX_CLAIMS, Claim, Divergences
from mtnet.services.signals.history.epochs import Epochs
from mtnet.services.signals.model import ZEROS
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.wire.answers import Signal, Synced, read_answer
from mtnet.session.grammar import FrameDecoder, parse

STRANGER = {"host": "10.0.0.1", "peer": "10.0.0.9"}


@pytest.fixture
def start(tmp_path, clock):
    return lambda *sets: Server(tmp_path / "data", clock, *sets)


@pytest.fixture
def rolled_back(tmp_path, clock, start):
    """A server on a copy that ends at entry 2, and what was known before: epoch, h of each."""
    server = start()
    server.store(2)
    server.journal.close()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    server.store(4, first=3)
    known = {entry.seq: entry.h for entry in server.entries()}
    server.journal.close()
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "copy").rename(tmp_path / "data")
    return start(), known


def hashes(terminal, kind=Signal):
    frames = [
        read_answer(parse(each)) for each in FrameDecoder(4_096, 8_192).feed(terminal.received())
    ]
    return {each.seq: each.h for each in frames if isinstance(each, kind)}


def accept(server, channel="main", new_epoch=False):
    done = []
    Deferred.fromCoroutine(Epochs(server.signals).accept(channel, new_epoch)).addBoth(done.append)
    return getattr(done[0], "value", done[0])


def diverged(server):
    return Status(server.signals).status()["diverged"]


def head(terminal):
    return told(terminal)[0].replace("SNAPSHOT|channel=main|", "")


# What SIGNAL and SYNCED carry


def test_each_signal_carries_the_hash_that_the_journal_has_of_it(start):
    server = start()
    follower = server.subscribe()
    server.store(3)
    stored = {entry.seq: entry.h for entry in server.entries()}
    assert hashes(follower) == stored
    assert len(set(stored.values())) == 3
    assert hashes(server.subscribe(epoch=server.epoch(), after=1)) == {2: stored[2], 3: stored[3]}


def test_synced_carries_the_hash_of_its_entry_and_zeros_where_there_is_none(start):
    server = start()
    assert hashes(server.subscribe(), Synced) == {0: ZEROS}
    server.store(2)
    last = {2: server.entries()[1].h}
    assert hashes(server.subscribe(), Synced) == last
    assert hashes(server.subscribe(epoch=server.epoch(), after=0, h=ZEROS), Synced) == last
    assert hashes(start().subscribe(), Synced) == last, "over a restart too"


def test_the_first_signal_of_a_new_channel_carries_the_hash_that_synced_repeats(start):
    server = start()
    publisher = server.greet()
    server.publish(publisher, "a", channel="gold")
    (entry,) = server.entries("gold")
    assert hashes(server.subscribe("gold"), Synced) == {1: entry.h}


@pytest.mark.parametrize("after", range(6))
def test_a_follower_whose_hash_fits_goes_on(start, after):
    server = start()
    server.store(5)
    h = ([ZEROS] + [entry.h for entry in server.entries()])[after]
    for each in (server, start()):  # from memory, and from the disk
        heard = told(each.subscribe(epoch=each.epoch(), after=after, h=h))
        assert heard[-2].startswith("SYNCED|channel=main|seq=5")
        assert not any("SNAPSHOT" in frame for frame in heard)
    assert diverged(server) == []


def test_a_follower_whose_entry_is_kept_no_longer_diverges_from_nothing(start):
    server = start("signals.retain=2")
    server.store(300)
    server.store(300, first=301)
    server = start("signals.retain=2")
    asked = {"epoch": server.epoch(), "after": 5, "h": "0badcafe"}
    assert head(server.subscribe(**asked)) == "seq=600|count=1"
    assert diverged(server) == []


# History that went back


def test_a_follower_that_knows_more_is_told_so_and_the_owner_too(rolled_back, log):
    server, known = rolled_back
    asked = {"epoch": server.epoch(), "after": 6, "h": known[6]}
    assert head(server.subscribe(**asked)) == "seq=2|count=1|diverged=1"
    (sentence,) = diverged(server)
    assert "The history of main went back: the follower (127.0.0.1:" in sentence
    assert "knows entry 6, and the journal ended at 2" in sentence
    assert "`mtnet signals accept main`" in sentence
    server.subscribe(**asked)
    said = [each["text"] for each in log if each["log_level"].name == "error"]
    assert said == [f"{sentence}."], "logged once"


def test_strangers_are_not_told_who_knows_more_nor_from_where(rolled_back):
    server, known = rolled_back
    server.subscribe(epoch=server.epoch(), after=6, h=known[6])
    health = Status(server.signals).health()
    assert health["healthy"] is False
    assert health["diverged"] == [health["trouble"]]
    assert "went back: a follower knows entry 6, and the journal ended at 2" in health["trouble"]
    assert "127.0.0.1" not in str(health)


def test_a_follower_is_not_continued_when_the_numbers_have_gone_past_it(rolled_back):
    server, known = rolled_back
    server.store(6, "USDJPY", first=10)
    asked = {"epoch": server.epoch(), "after": 6, "h": known[6]}
    assert head(server.subscribe(**asked)) == "seq=8|count=2|diverged=1"
    assert f"knows entry 6 with hash {known[6]}, and the journal has another" in diverged(server)[0]


def test_a_follower_that_stopped_before_the_copy_goes_on(rolled_back):
    server, known = rolled_back
    server.store(1, "USDJPY", first=10)
    heard = told(server.subscribe(epoch=server.epoch(), after=2, h=known[2]))
    assert [each.split("|")[0] for each in heard] == ["SIGNAL", "SYNCED", "STATUS"]
    assert diverged(server) == []


def test_a_strangers_word_is_no_alarm(tmp_path, clock, rolled_back):
    server, known = rolled_back
    server = Server(tmp_path / "data", clock, "access.anonymous=follow")
    stranger = server.greet(**STRANGER)
    stranger.send(
        f"<<SUBSCRIBE|channel=main|epoch={server.epoch()}|after=6|h={known[6]}>>".encode()
    )
    assert head(stranger) == "seq=2|count=1|diverged=1"
    assert Status(server.signals).health()["healthy"]


def test_once_an_epoch_has_diverged_a_number_without_a_hash_proves_nothing(rolled_back):
    server, known = rolled_back
    epoch = server.epoch()
    assert head(server.subscribe(epoch=epoch, after=1)).startswith("SIGNAL")
    server.subscribe(epoch=epoch, after=6, h=known[6])
    for _ in range(2):
        assert head(server.subscribe(epoch=epoch, after=1)) == "seq=2|count=1"
        assert head(server.subscribe(epoch=epoch, after=0)).startswith("SIGNAL")
        assert head(server.subscribe(epoch=epoch, after=1, h=known[1])).startswith("SIGNAL")
        assert accept(server) != [], "it stays so"


# What a person accepts


def test_accept_ends_the_alarm_and_keeps_the_epoch(rolled_back, start):
    server, known = rolled_back
    epoch, asked = server.epoch(), {"after": 6, "h": known[6]}
    follower = server.subscribe()
    server.subscribe(epoch=epoch, **asked)
    told(follower)
    assert accept(server) == 1
    assert Status(server.signals).health()["healthy"]
    assert (server.epoch(), told(follower)) == (epoch, [])
    for each in (server, start()):
        assert head(each.subscribe(epoch=epoch, **asked)) == "seq=2|count=1|diverged=1"
        assert Status(each.signals).health()["healthy"], "it was accepted"
        each.subscribe(epoch=epoch, after=5, h=known[5])
        assert not Status(each.signals).health()["healthy"], "this one was not"
        accept(each)


def test_the_alarm_outlives_a_restart(rolled_back, start):
    server, known = rolled_back
    server.subscribe(epoch=server.epoch(), after=6, h=known[6])
    assert diverged(start()) == diverged(server) != []


def test_a_new_epoch_is_shown_to_everybody_at_once(rolled_back, start):
    server, known = rolled_back
    old = server.epoch()
    whole, filtered, other = server.subscribe(), server.subscribe(symbols=["X"]), server.greet()
    server.subscribe(epoch=old, after=6, h=known[6])
    for each in (whole, filtered, other):
        told(each)
    assert accept(server, new_epoch=True) == 1
    assert server.epoch() != old
    assert diverged(server) == []
    assert head(whole) == "seq=2|count=1"
    assert head(filtered) == "seq=2|count=0"
    assert told(other) == []
    assert head(server.subscribe(epoch=old, after=2, h=known[2])) == "seq=2|count=1"
    server.store(1, "USDJPY", first=9)
    assert told(whole)[0] == "SIGNAL|channel=main|seq=3|symbol=USDJPY|volume=9"
    assert start().epoch() == server.epoch()
    assert Status(start().signals).health()["healthy"]


def test_a_new_epoch_of_an_empty_channel_changes_nothing(start):
    server = start()
    follower, master = server.subscribe(), server.follow()
    told(follower)
    assert accept(server, new_epoch=True) == 0
    assert head(follower) == "seq=0|count=0"
    assert master.received() == b""


def test_nothing_is_accepted_where_nothing_is_wrong(start):
    server = start()
    error = accept(server)
    assert isinstance(error, WireError)
    assert "Nothing is wrong with main" in str(error)
    assert "There is no channel gold" in str(accept(server, "gold", new_epoch=True))


def test_a_disk_that_keeps_no_acceptance_leaves_the_alarm(rolled_back, monkeypatch):
    server, known = rolled_back
    server.subscribe(epoch=server.epoch(), after=6, h=known[6])

    def full(path, data):
        raise JournalError("The disk is full.")

    monkeypatch.setattr("mtnet.services.signals.history.histories.replace_file", full)
    assert str(accept(server)) == "The disk is full."
    assert len(diverged(server)) == 1


def test_what_was_accepted_before_stays_so_when_the_disk_keeps_no_more(rolled_back, monkeypatch):
    server, known = rolled_back
    server.subscribe(epoch=server.epoch(), after=6, h=known[6])
    accept(server)
    server.subscribe(epoch=server.epoch(), after=5, h=known[5])

    def full(path, data):
        raise JournalError("The disk is full.")

    monkeypatch.setattr("mtnet.services.signals.history.histories.replace_file", full)
    accept(server)
    (sentence,) = diverged(server)
    assert "knows entry 5, and the journal ended at 2. " in sentence


def test_a_file_of_claims_that_cannot_be_read_is_named(start, tmp_path):
    start()
    (tmp_path / "data" / "signals.diverged").write_bytes(b"{")
    with pytest.raises(JournalError, match=r"signals\.diverged does not name the histories"):
        start()


def test_the_claims_that_are_kept_are_counted():
    claims = Divergences()
    for number in range(2 * MAX_CLAIMS):
        claims.add("main", "a" * 16, Claim(number, "", "x", 0, 0))
    assert len(claims.open("main")) == MAX_CLAIMS
    assert "and 99 more say such things" in claims.sentence("main")


def test_a_damaged_channel_is_accepted_while_the_daemon_runs(start):
    server = start()
    server.store(3)
    server.store(1, "EURUSD", first=4)
    epoch = server.epoch()
    server.journal.close()
    shell(server.journal.path, "DELETE FROM entry WHERE seq = 2")
    server = start()
    assert Status(server.signals).health()["damaged"] == ["main"]
    assert accept(server) == 2
    assert Status(server.signals).health()["healthy"]
    assert server.epoch() != epoch
    assert head(server.subscribe()) == "seq=4|count=2"
    server.store(1, "EURUSD", first=8)
    assert server.signals.channel("main").seq == 5


def test_a_client_refused_a_damaged_channel_is_notified_when_it_is_accepted(start):
    server = start()
    server.store(3)
    server.journal.close()
    shell(server.journal.path, "DELETE FROM entry WHERE seq = 2")
    server = start()
    follower = server.subscribe()
    assert told(follower) == ["ERROR|code=server|channel=main"]
    accept(server)
    assert told(follower) == ["CHANNELS|channels=main"]
