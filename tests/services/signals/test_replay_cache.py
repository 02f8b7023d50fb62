"""What is kept for followers who come back is what the disk would give them."""

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals_peers import Server, frame, told
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from mtnet.errors import JournalError, PrunedError
from mtnet.services.signals import replay_cache
from mtnet.services.signals.model import Entry
from mtnet.services.signals.replay_cache import ReplayCache
from mtnet.services.signals.wire import answers
from mtnet.session.grammar import parse


def entry(seq):
    return Entry("main", "ABC"[seq % 3], Decimal(seq), 1_000 + seq, seq=seq)


class Disk:
    """
    Entries 1, 2, 3 …, of which the first may be kept no longer; it answers when it is told to.

    Attributes:
        reads: what was asked.
    """

    def __init__(self, stored=0):
        self.stored, self.oldest, self.reads, self.waiting = stored, 1, [], []

    def read(self, after, limit):
        self.reads.append((after, limit))
        self.waiting.append((Deferred(), after, limit))
        return self.waiting[-1][0]

    def answer(self, at=0):
        done, after, limit = self.waiting.pop(at)
        if after + 1 < self.oldest:
            done.errback(PrunedError("gone"))
        else:
            last = min(self.stored, after + limit)
            done.callback([entry(seq) for seq in range(after + 1, last + 1)])


def ask(ring, after):
    return Deferred.fromCoroutine(ring.read(after))


def check(batch, after, last):
    """It begins behind `after`, has no hole, and nothing that is not told."""
    seqs = [each.seq for each in batch.entries]
    assert seqs == list(range(after + 1, after + 1 + len(seqs)))
    assert not seqs or seqs[-1] <= last
    assert len(seqs) <= replay_cache.PAGE
    assert batch.frames == [answers.signal(entry(seq)) for seq in seqs]
    assert batch.text == b"".join(batch.frames)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.integers(1, 4)),
        st.tuples(st.just("tell"), st.integers(1, 4)),
        st.tuples(st.just("prune"), st.integers(1, 9)),
        st.tuples(st.just("ask"), st.integers(1, 12)),
        st.tuples(st.just("cancel"), st.floats(0, 1)),
        st.tuples(st.just("answer"), st.floats(0, 1)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(stored=st.integers(0, 12), untold=st.integers(0, 3), most=st.integers(0, 9), steps=STEPS)
def test_whatever_happens_in_between_what_is_asked_for_comes_whole(stored, untold, most, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_cache, "PAGE", 3)
        disk, last = Disk(stored + untold), stored
        ring = ReplayCache(last, most, disk.read)
        asked = []
        for step, value in steps:
            if step == "store":
                disk.stored += value
            elif step == "tell" and disk.stored > last:
                more = range(last + 1, min(disk.stored, last + value) + 1)
                ring.extend([entry(seq) for seq in more])
                last = more[-1]
            elif step == "prune":
                disk.oldest = min(disk.oldest + value, disk.stored + 1)
            elif step == "ask" and last:
                after = max(0, last - value)
                known = ring.recent(after)
                if known is not None:
                    assert known.entries
                    check(known, after, last)
                    assert len(known.entries) == min(3, last - after)
                else:
                    asked.append((ask(ring, after), after))
            elif step == "cancel" and asked:
                gone = asked.pop(round(value * (len(asked) - 1)))[0]
                gone.addErrback(lambda _: None).cancel()
            elif step == "answer" and disk.waiting:
                disk.answer(round(value * (len(disk.waiting) - 1)))
            assert len(ring._entries) <= most
            assert len(ring._frames) <= most
        while disk.waiting:
            disk.answer()
        for done, after in asked:
            found = []
            done.addCallbacks(found.append, lambda failure: failure.trap(PrunedError))
            for batch in found:
                check(batch, after, last)
            assert found or disk.oldest > after + 1


def test_a_herd_costs_one_read_and_shares_the_bytes():
    disk = Disk(300)
    ring = ReplayCache(300, 200, disk.read)
    herd = [ask(ring, 295) for _ in range(1_000)]
    assert disk.reads == [(100, 200)]
    texts = []
    for each in herd:
        each.addCallback(lambda batch: texts.append(batch.text))
    disk.answer()
    assert len(texts) == 1_000
    assert len(set(map(id, texts))) == 1
    assert texts[0] == b"".join(answers.signal(entry(seq)) for seq in range(296, 301))
    assert disk.reads == [(100, 200)]


def test_a_follower_behind_the_cache_reads_from_the_disk():
    disk = Disk(1_000)
    ring = ReplayCache(1_000, 10, disk.read)
    done = ask(ring, 5)
    disk.answer()
    assert disk.reads == [(990, 10), (0, replay_cache.PAGE)]
    disk.answer()
    found = []
    done.addCallback(found.append)
    check(found[0], 5, 1_000)
    assert found[0].entries[-1].seq == replay_cache.PAGE


def test_followers_far_behind_share_what_is_read_for_them_wherever_they_begin(monkeypatch):
    monkeypatch.setattr(replay_cache, "PAGES", 4)
    disk = Disk(10 * replay_cache.PAGE)
    ring = ReplayCache(disk.stored, 0, disk.read)
    found = []
    for after in (0, 5, 7, 5, 499):
        ask(ring, after).addCallback(lambda batch, after=after: found.append((after, batch)))
    assert disk.reads == [(0, replay_cache.PAGE)]
    disk.answer()
    for after, batch in found:
        check(batch, after, disk.stored)
    ask(ring, 3).addCallback(lambda batch: check(batch, 3, disk.stored))
    assert disk.reads == [(0, replay_cache.PAGE)], "it is kept for a while"
    for page in range(1, replay_cache.PAGES + 1):
        ask(ring, page * replay_cache.PAGE)
        disk.answer()
    ask(ring, 3)
    assert disk.reads[-1] == (0, replay_cache.PAGE), "and not for ever"


def test_a_reader_inside_a_page_with_dropped_entries_gets_the_rest_of_it():
    disk = Disk(10 * replay_cache.PAGE)
    disk.oldest = 200
    ring = ReplayCache(disk.stored, 0, disk.read)
    found = []
    ask(ring, 300).addCallback(found.append)
    disk.answer()
    disk.answer()
    assert disk.reads == [(0, replay_cache.PAGE), (300, replay_cache.PAGE - 300)]
    check(found[0], 300, disk.stored)


def test_a_first_read_that_fails_is_not_tried_for_everybody():
    disk = Disk(20)
    ring = ReplayCache(20, 10, disk.read)
    one, other = ask(ring, 18), ask(ring, 19)
    disk.waiting.pop()[0].errback(JournalError("The disk failed"))
    assert disk.reads[1:] == [(0, replay_cache.PAGE)]
    found = []
    disk.answer()
    for done in (one, other):
        done.addCallback(found.append)
    check(found[0], 18, 20)
    check(found[1], 19, 20)
    ring.extend([entry(21)])
    assert [each.seq for each in ring.recent(20).entries] == [21]


def test_behind_a_gap_it_begins_anew():
    disk = Disk(2)
    ring = ReplayCache(0, 10, disk.read)
    ring.extend([entry(1), entry(2)])
    ring.extend([entry(7)])
    assert [ring.recent(after) for after in range(6)] == [None] * 6
    check(ring.recent(6), 6, 7)
    ask(ring, 1).addErrback(lambda _: None)
    disk.answer()
    assert [ring.recent(after) for after in range(6)] == [None] * 6


def test_what_is_told_is_added_to_what_was_asked_for_before():
    ring = ReplayCache(0, 10, Disk().read)
    for last in range(1, 6):
        ring.extend([entry(last)])
        assert [each.seq for each in ring.recent(0).entries] == list(range(1, last + 1))


def test_what_is_told_while_the_disk_is_read_stays_behind_what_was_read():
    disk = Disk(5)
    ring = ReplayCache(3, 10, disk.read)
    done = ask(ring, 1)
    ring.extend([entry(4)])
    check(ring.recent(3), 3, 4)
    disk.answer()
    found = []
    done.addCallback(found.append)
    assert [each.seq for each in found[0].entries] == [2, 3, 4]
    for after in range(4):
        check(ring.recent(after), after, 4)
    assert not disk.waiting


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from("AABC"), st.integers(1, 4)),
        st.tuples(
            st.just("follow"),
            st.floats(0, 1),
            st.sampled_from([None, None, ["A"], ["B", "C"]]),
        ),
        st.tuples(st.just("restart"), st.none(), st.none()),
    ),
    max_size=14,
)


def live(folder, ring, acts):
    """Return what every follower was told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_cache, "PAGE", 3)
        patch.setattr(replay_cache, "RING", ring)
        start = lambda: Server(folder / "data", Clock(), "signals.retain=9")  # noqa: E731
        server, heard, number = start(), [], 0
        publisher, followers = server.greet(), []
        for act, first, second in acts:
            if act == "publish":
                for _ in range(second):
                    number += 1
                    publisher.send(frame("PUBLISH", id=f"n{number}", symbol=first, volume=number))
            elif act == "follow":
                after = round(first * server.signals.channel("main").seq)
                asked = {} if second is None else {"symbols": second}
                followers.append(server.subscribe(epoch=server.epoch(), after=after, **asked))
            else:
                heard += [told(each) for each in followers]
                for each in (publisher, *followers):
                    each.hang_up()
                Deferred.fromCoroutine(server.signals.close())
                server = start()
                publisher, followers = server.greet(), []
        heard += [told(each) for each in followers]
        server.journal.close()
        return heard


def known(said):
    """
    Return what a follower knows, and how far: positions by symbol, and the last seq.

    Of entries that are pruned just now one follower is sent those that were read before, and
    another a snapshot.
    """
    positions, seq = {}, 0
    for each in said:
        message = parse(each.encode())
        if message.verb == "SNAPSHOT":
            positions = {}
        elif message.verb in ("POSITION", "SIGNAL"):
            positions[message.fields["symbol"]] = message.fields["volume"]
        if message.verb in ("SIGNAL", "SYNCED"):
            assert int(message.fields["seq"]) >= seq
            seq = int(message.fields["seq"])
    return positions, seq


@settings(max_examples=60, deadline=None)
@given(acts=ACTS, ring=st.sampled_from([1, 4, 1_000]))
def test_followers_know_the_same_with_it_and_without(acts, ring):
    with tempfile.TemporaryDirectory() as with_it, tempfile.TemporaryDirectory() as without:
        cached, read = live(Path(with_it), ring, acts), live(Path(without), 0, acts)
    assert list(map(known, cached)) == list(map(known, read))


def test_a_crowd_that_is_caught_up_leaves_each_turn_of_the_reactor_to_others():
    clock, sent = Clock(), []
    share = replay_cache.TurnBudget(clock, turn=1.0)

    def page(number):
        clock.rightNow += 0.4  # as long as it takes to send one
        sent.append(number)

    def turn():
        (call,) = clock.getDelayedCalls()
        clock.calls.remove(call)
        call.func()

    for number in range(7):
        share.take().addCallback(lambda _, number=number: page(number))
    assert sent == [0, 1, 2]
    turn()
    assert sent == [0, 1, 2, 3, 4, 5]
    turn()
    assert sent == list(range(7))
    turn()
    assert clock.getDelayedCalls() == []


def test_pages_of_all_channels_are_kept_and_the_least_used_goes_first(monkeypatch):
    monkeypatch.setattr(replay_cache, "PAGES", 3)
    pages, disks = replay_cache.PageCache(), [Disk(10 * replay_cache.PAGE) for _ in range(2)]
    one, other = (ReplayCache(disk.stored, 0, disk.read, pages) for disk in disks)
    for page in range(3):
        ask(one, page * replay_cache.PAGE)
        disks[0].answer()
    ask(one, 0)
    ask(other, 0)
    disks[1].answer()
    for after, reads in ((0, 3), (2 * replay_cache.PAGE, 3), (replay_cache.PAGE, 4)):
        ask(one, after)
        assert len(disks[0].reads) == reads


@pytest.mark.parametrize(("stored", "limit"), [(1_000, 250), (130, 250), (200, 200), (0, 5)])
def test_a_page_is_read_in_slices_so_that_a_commit_waits_for_one_of_them(stored, limit):
    disk, found = Disk(stored), []
    reading = Deferred.fromCoroutine(replay_cache.read_in_slices(disk.read, 0, limit))
    reading.addCallback(found.append)
    while disk.waiting:
        assert len(disk.waiting) == 1
        disk.answer()
    assert found == [[entry(seq) for seq in range(1, min(stored, limit) + 1)]]
    assert max(most for _, most in disk.reads) <= replay_cache.SLICE


def fire(clock):
    (call,) = clock.getDelayedCalls()
    clock.rightNow = call.getTime()
    clock.calls.remove(call)
    call.func()


def test_nobody_is_caught_up_while_signals_are_stored():
    clock, sent, stores = Clock(), [], True
    budget = replay_cache.TurnBudget(clock)
    budget.yields = lambda: stores
    budget.take().addCallback(sent.append)
    fire(clock)
    assert sent == []
    stores = False
    fire(clock)
    assert sent == [None]


def test_signals_without_a_break_do_not_keep_followers_from_catching_up():
    clock, sent = Clock(), []
    budget = replay_cache.TurnBudget(clock)
    budget.yields = lambda: True
    for _ in range(2):
        budget.take().addCallback(lambda _: sent.append(clock.seconds()))
        for _ in range(replay_cache.PATIENCE + 1):
            assert len(sent) < 2
            fire(clock)
    assert len(sent) == 2
    assert sent[0] == pytest.approx(replay_cache.PATIENCE * replay_cache.PAUSE)


def test_a_cancelled_wait_gives_up_its_place():
    clock, sent = Clock(), []
    share = replay_cache.TurnBudget(clock, turn=0.0)
    first, second = share.take(), share.take()
    first.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
    second.addCallback(sent.append)
    share._turn = 1.0
    clock.advance(0)
    assert sent == [None]
    share.take()
    share.close()
    assert clock.getDelayedCalls() == []
