"""The tick port for datagrams: whatever comes is stored or counted, and nothing is answered."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from zlib import decompress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tick_server import merged_rows
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mtnet.interfaces import IBurstProtocol, IDatagramListener, ISignals, ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks import udp
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.component import TickDatagrams
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage.blocks import unpack
from mtnet.services.ticks.storage.store import Store, StoredState
from mtnet.services.ticks.udp import TickDatagramProtocol

LISTENER = Listener("ticks", "udp:8082:interface=127.0.0.1")
HERE, THERE = ("127.0.0.1", 50_000), ("192.0.2.9", 50_001)


class Wire:
    """What a datagram port would be."""

    def __init__(self, host):
        self.host, self.lost = host, 0

    def getHost(self):
        return IPv4Address("UDP", self.host, 8082)

    def has_backlog(self):
        return False

    def dropped(self):
        return self.lost


class Port:
    """The protocol of one port and what became of what it was sent."""

    def __init__(self, env, host="127.0.0.1"):
        self.env, self.clock, self.collector = env, env.clock, env.find(ITicks)
        self.protocol = TickDatagramProtocol(env.of("ticks"), LISTENER)
        self.wire = self.protocol.transport = Wire(host)

    def send(self, *burst, sender=HERE):
        self.protocol.datagramsReceived([(data, sender) for data in burst])

    def count(self, *names):
        return [self.collector.health()[name] for name in names]

    def flush(self):
        self.clock.advance(self.env.of("ticks").section.flush)

    def stored(self):
        """Return what is on disk as texts, symbol by symbol, in the order of arrival."""
        self.flush()
        rows = self.rows(
            "SELECT name, data FROM block JOIN symbol ON symbol.id = block.symbol ORDER BY name, "
            "block.id"
        )
        return [
            f"{name} {rest.decode()}" for name, data in rows for rest in unpack(decompress(data))[1]
        ]

    def rows(self, query):
        return merged_rows(self.env.config.data, query)

    def heard(self):
        """Return what was heard of each source, and from whom each symbol came."""
        self.flush()
        return (
            self.rows(
                "SELECT name, received, refused, dropped, repeated, repeats, restarts, disorder, "
                "missing, highest FROM source WHERE received > 0 ORDER BY name"
            ),
            self.rows(
                "SELECT source.name, symbol.name, heard.ticks FROM heard "
                "JOIN source ON source.id = heard.source JOIN symbol ON symbol.id = heard.symbol "
                "ORDER BY 1, 2"
            ),
        )


@pytest.fixture
def env(env_with):
    return env_with()


@pytest.fixture
def port(env_with):
    """Open a port: `port("ticks.queue=10", host="192.0.2.1")`."""
    return lambda *sets, **where: Port(env_with("reserve=0", *sets), **where)


def test_the_plugin_and_its_protocol_keep_their_interfaces(env, port):
    assert verifyObject(IDatagramListener, TickDatagrams(env.of("ticks")))
    assert verifyObject(IBurstProtocol, port().protocol)


def test_a_datagram_that_comes_alone_is_one_of_a_burst(port):
    here = port()
    here.protocol.datagramReceived(b"EURUSD 1.09876\0", HERE)
    assert here.stored() == ["EURUSD 1.09876"]


# What a datagram says


@pytest.mark.parametrize(
    "data",
    [
        b"EURUSD 1.1\nGBPUSD 1.3",
        b"EURUSD 1.1\nGBPUSD 1.3\n",
        b"EURUSD 1.1\r\nGBPUSD 1.3\r\n\0",
        b"\nEURUSD 1.1\n\nGBPUSD 1.3\0",
        b"EURUSD\t1.1\nGBPUSD;1.3\0\0\0",
        b"EURUSD 1.1\nGBPUSD 1.3\0XAUUSD 2000\0",
        b"EURUSD 1.1\nGBPUSD 1.3\n\0@@desk 1\nXAUUSD 2000",
    ],
)
def test_records_end_at_a_line_break_and_the_datagram_at_its_first_nul(port, data):
    here = port()
    here.send(data)
    assert here.stored() == ["EURUSD 1.1", "GBPUSD 1.3"]
    assert here.count("received", "refused") == [2, 0]


def test_an_old_buffer_behind_a_nul_is_not_read_in_a_burst_either(port):
    here = port()
    here.send(b"EURUSD 1.10987\0", b"EURUSD 1.2\0987\0", b"EURUSD 1.3\0\n87\0")
    assert here.stored() == ["EURUSD 1.10987", "EURUSD 1.2", "EURUSD 1.3"]
    assert here.count("refused") == [0]


def test_a_record_that_cannot_be_read_is_counted_and_the_others_kept(port, warnings):
    here = port()
    here.send(b"EURUSD 1.1\nEURUSD x\nEURUSD\nEURUSD 1.2")
    assert here.stored() == ["EURUSD 1.1", "EURUSD 1.2"]
    assert here.count("received", "refused") == [4, 2]
    assert len(warnings()) == 1


@pytest.mark.parametrize("data", [b"", b"\0", b"\n", b"\r\n\0EURUSD 1.1", b"\0EURUSD 1.1"])
def test_a_datagram_that_says_nothing_is_counted_as_one_that_cannot_be_read(port, data):
    here = port()
    here.send(data, b"EURUSD 1.2")
    assert here.stored() == ["EURUSD 1.2"]
    assert here.count("received", "refused") == [2, 1]


@pytest.mark.parametrize(
    ("size", "whole"), [(8_190, True), (8_191, True), (8_192, False), (20_000, False)]
)
@pytest.mark.parametrize("head", [b"", b"@@desk 1\n"])
def test_a_datagram_that_may_have_been_cut_is_refused_whole(port, warnings, head, size, whole):
    here = port()
    data = (head + b"EURUSD 1.1\n" * 800).ljust(size, b"\0")[: size - 1] + b"\0"
    here.send(data[:size] if whole else data[:8_192], b"GBPUSD 1.3")
    refused = here.count("refused")[0]
    kept = here.stored()
    assert kept[-1] == "GBPUSD 1.3"
    assert (len(kept) > 700) is whole
    assert (refused == 1 and len(kept) == 1) is not whole
    assert len(warnings()) == (refused > 0)


def test_a_cut_datagram_leaves_its_number_to_be_sent_again_in_smaller_ones(port):
    here = port()
    here.send(b"@@desk 1\n" + b"EURUSD 1.1\n" * 1_000)
    here.send(b"@@desk 1\nEURUSD 1.1\n")
    assert here.stored() == ["EURUSD 1.1"]


def test_spaced_symbols_are_known_by_their_own_name(port):
    here = port("ticks.spaced_symbols=UK 100")
    here.send(b"UK 100 8000.5\0", b"EURUSD 1.1\0")
    assert here.stored() == ["EURUSD 1.1", "UK%20100 8000.5"]


# Who sent it


def test_the_source_is_the_address_without_its_port(port):
    here = port()
    here.protocol.datagramsReceived(
        [(b"EURUSD 1", HERE), (b"EURUSD 2", ("127.0.0.1", 50_009)), (b"EURUSD 3", THERE)]
    )
    counted = [row[:2] for row in here.heard()[0]]
    assert counted == [("127.0.0.1", 2), ("192.0.2.9", 1)]


def test_an_ipv6_address_is_a_source_too(port):
    here = port()
    here.send(b"EURUSD 1", sender=("::1", 50_000, 0, 0))
    assert here.heard()[0][0][:2] == ("::1", 1)


def test_a_header_names_the_source_whatever_the_address(port):
    here = port()
    here.send(b"@@desk 1\nEURUSD 1\nEURUSD 2")
    here.send(b"@@desk 2\nEURUSD 3", sender=THERE)
    assert here.heard() == (
        [("desk", 3, 0, 0, 0, 0, 0, 0, 0, 2)],
        [("desk", "EURUSD", 3)],
    )


@pytest.mark.parametrize(
    "header", [b"@@", b"@@desk", b"@@desk x", b"@@de/sk 1", b"@@desk -1", b"@@d 1 2 3"]
)
def test_a_bad_header_is_counted_and_what_follows_is_of_the_address(port, warnings, header):
    here = port()
    here.send(header + b"\nEURUSD 1\nEURUSD 2\0")
    assert here.stored() == ["EURUSD 1", "EURUSD 2"]
    assert here.heard()[0] == [("127.0.0.1", 3, 1, 0, 0, 0, 0, 0, 0, None)]
    assert len(warnings()) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n", "nothing but line ends"),
        (b"\r\n\r\n", "nothing but line ends"),
        (b"\0\0\0\x10EURUSD 1.09876", "begins with NUL"),
        (b"\0", "begins with NUL"),
        (b"EURUSD", "one is needed"),
        (b"@@desk x\nEURUSD 1", "A header is @@SOURCE SEQ"),
    ],
)
def test_every_datagram_that_is_refused_is_counted_and_logged(port, warnings, data, words):
    here = port()
    here.send(data)
    assert here.count("refused") == [1]
    (line,) = warnings()
    assert words in str(line["error"])


def test_a_password_behind_a_nul_is_not_logged(port, warnings):
    here = port()
    here.send(b"\0LOGIN: desk hunter2")
    assert "hunter2" not in str(warnings()[0]["error"])


@pytest.mark.parametrize("end", [b"", b"\0", b"\r\n"])
def test_a_symbol_with_an_at_sign_is_a_tick_at_any_price(port, end):
    here = port()
    here.send(*[b"@ES %d" % price + end for price in (4500, 4501, 4503)])
    assert here.stored() == ["@ES 4500", "@ES 4501", "@ES 4503"]
    assert here.count("refused") == [0]


def test_one_symbol_in_several_spellings_is_one(port):
    here = port("ticks.spaced_symbols=UK 100")
    here.send(b"UK 100 1", b"UK%20100 2", b"%55K%20100 3", b"EURUSD.\xa3 4", "EURUSD.£ 5".encode())
    expected = ["UK%20100 1", "UK%20100 2", "UK%20100 3", "EURUSD.£ 4", "EURUSD.£ 5"]
    assert sorted(here.stored()) == sorted(expected)
    assert here.env.find(ITicks).health()["symbols"] == 2


def test_a_header_that_is_not_first_is_no_header(port):
    here = port()
    here.send(b"EURUSD 1\n@@desk 1\nEURUSD 2")
    assert here.stored() == ["EURUSD 1", "EURUSD 2"]
    assert here.heard()[0] == [("127.0.0.1", 3, 1, 0, 0, 0, 0, 0, 0, None)]


def test_a_header_alone_is_a_datagram_of_no_ticks(port):
    here = port()
    here.send(b"@@desk 1", b"@@desk 3\0")
    assert here.count("received", "refused") == [0, 0]
    desk = here.collector.source("desk")
    assert (desk.highest, desk.missing) == (3, 1)


@pytest.mark.parametrize(
    "burst",
    [
        [(b"EURUSD 1", HERE), (b"EURUSD 2", THERE), (b"EURUSD 3", HERE), (b"EURUSD 4", THERE)],
        [(b"EURUSD 1", THERE), (b"EURUSD 2", HERE), (b"EURUSD 3", HERE), (b"EURUSD 4", THERE)],
        [
            (b"@@desk 1\nEURUSD 1", HERE),
            (b"EURUSD 2", HERE),
            (b"@@desk 2\nEURUSD 3\nEURUSD 4", HERE),
        ],
        [(b"EURUSD 1\nEURUSD 2", HERE), (b"EURUSD 3", THERE), (b"EURUSD 4", HERE)],
        [(b"EURUSD,1", HERE), (b"EURUSD 2", THERE), (b"EURUSD 3", HERE), (b"EURUSD;4", HERE)],
    ],
)
def test_ticks_of_one_symbol_keep_the_order_in_which_they_came_whoever_sent_them(port, burst):
    here = port()
    here.protocol.datagramsReceived(burst)
    assert here.collector.last_tick(b"EURUSD")[0] == b"4"
    assert here.stored() == ["EURUSD 1", "EURUSD 2", "EURUSD 3", "EURUSD 4"]


# Numbers


def test_numbers_tell_repeats_gaps_and_late_ones(port):
    here = port()
    here.send(
        b"@@desk 5\nEURUSD 5", b"@@desk 5\nEURUSD 5", b"@@desk 9\nEURUSD 9", b"@@desk 7\nEURUSD 7"
    )
    assert here.stored() == ["EURUSD 5", "EURUSD 9", "EURUSD 7"]
    assert here.heard()[0] == [("desk", 4, 0, 0, 1, 1, 0, 1, 2, 9)]


@pytest.mark.parametrize("again", [b"@@desk 1\nEURUSD 8", b"@@desk 7000\nEURUSD 8"])
def test_a_sender_that_begins_anew_is_a_restart_and_is_stored(port, again):
    here = port()
    here.send(b"@@desk 7000\nEURUSD 7", again)
    assert here.stored() == ["EURUSD 7", "EURUSD 8"]
    assert here.collector.source("desk").restarts == 1


def test_a_repeat_is_known_by_what_comes_before_the_first_nul(port):
    here = port()
    here.send(b"@@desk 5\nEURUSD 5\0old", b"@@desk 5\nEURUSD 5\0older")
    assert here.stored() == ["EURUSD 5"]
    assert here.count("repeated") == [1]


def test_a_repeat_is_known_by_the_next_daemon(port):
    first = port()
    first.send(b"@@desk 5\nEURUSD 5")
    first.collector.close()
    second = port()
    second.send(b"@@desk 5\nEURUSD 5", b"@@desk 6\nEURUSD 6")
    assert second.stored() == ["EURUSD 5", "EURUSD 6"]
    assert second.count("repeated") == [1]


def test_a_datagram_that_was_dropped_may_be_sent_again(port):
    here = port("ticks.queue=1")
    here.send(b"@@desk 1\nEURUSD 1", b"@@desk 2\nEURUSD 2", b"@@desk 3\nEURUSD 3")
    assert here.count("dropped") == [2]
    here.flush()
    here.send(b"@@desk 2\nEURUSD 2")
    here.flush()
    here.send(b"@@desk 3\nEURUSD 3")
    assert here.stored() == ["EURUSD 1", "EURUSD 2", "EURUSD 3"]
    assert here.collector.source("desk").missing == 0


def test_numbers_mean_nothing_where_many_senders_are_counted_as_one(port):
    here = port("ticks.max_sources=1")
    here.send(b"@@a 1\nEURUSD 1", b"@@b 5\nEURUSD 2", b"@@b 5\nEURUSD 2", b"@@c 9\nEURUSD 3")
    assert here.stored() == ["EURUSD 1", "EURUSD 2", "EURUSD 2", "EURUSD 3"]
    assert here.heard()[0] == [
        ("(others)", 3, 0, 0, 0, 0, 0, 0, 0, None),
        ("a", 1, 0, 0, 0, 0, 0, 0, 0, 1),
    ]


# Bursts

TEXTS = st.sampled_from(
    [
        b"EURUSD 1.1", b"GBPUSD 2 3", b"EURUSD;1.5;;2", b"bad", b"\n", b"\r\n", b"\r", b"\0",
        b"\x01", b" ", b"@@desk 1", b"@@desk 2", b"@@desk x", b"@@", b"PING:", b"EURUSD 1.1\0",
        b"EURUSD 1.1\nGBPUSD 2 3", b"9", b"\xff", b"@ES 4500", b"@ES 4500\0", b"[NQ100] 15000.1",
    ]
)  # fmt: skip
DATAGRAMS = st.lists(TEXTS | st.binary(max_size=4), max_size=6).map(b"".join)
BURSTS = st.lists(DATAGRAMS, min_size=1, max_size=8)


class Memory(Store):
    """A disk that keeps everything in its hands."""

    def __init__(self):
        self.ticks, self.heard, self.sources = Counter(), Counter(), {}

    def load(self, tally, sources):
        return StoredState([], Source("(others)", 2), 3, {}, 0)

    def free(self):
        return 2**40

    def commit(self, commit):
        for block in commit.blocks:
            self.ticks.update((block.symbol, rest) for rest in unpack(block.data)[1])
        for key, heard in commit.heard.items():
            self.heard[key] += heard.ticks
        for source in commit.sources:
            self.sources[source.row[1]] = source.row[2:]


class Untold:
    """A tally of nothing."""

    value, trouble = 0, None

    def repair(self):
        return False

    def set(self, value):
        self.value = value

    def burst(self):
        return nullcontext()


def outcome(env, burst, together, senders):
    """Return what is on disk and what was counted when a burst came at once, or one by one."""
    memory, clock = Memory(), Clock()
    collector = Collector(env.of("ticks").section, 0, memory, Untold(), clock, maybeDeferred)
    collector.open()
    here = Port(
        replace(
            env,
            find={ITicks: collector, ISignals: env.find(ISignals)}.get,
            clock=clock,
            now=lambda: 10**12,
        )
    )
    received = [(data, senders[at % len(senders)]) for at, data in enumerate(burst)]
    for part in [received] if together else [[each] for each in received]:
        here.protocol.datagramsReceived(part)
    here.flush()
    counts = here.count("received", "stored", "waiting", "refused", "repeated")
    heard = sorted((symbol, ticks) for (_, symbol), ticks in memory.heard.items())
    return memory.ticks, heard, memory.sources, counts


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(burst=BURSTS, senders=st.sampled_from([(HERE,), (HERE, THERE)]))
def test_a_burst_means_what_its_datagrams_mean_one_by_one(env, senders, burst):
    assert outcome(env, burst, True, senders) == outcome(env, burst, False, senders)


def test_a_bad_datagram_in_a_burst_costs_the_others_nothing(port):
    here = port()
    good = [b"EURUSD %d\0" % tick for tick in range(500)]
    here.send(*good[:250], b"\xff\x01\n\0\x01", *good[250:])
    assert here.stored() == [f"EURUSD {tick}" for tick in range(500)]
    assert here.count("refused") == [1]


@pytest.mark.parametrize("end", [b"", b"\0", b"\n", b"\r\n"])
def test_an_empty_datagram_in_a_burst_is_counted_behind_every_end_of_another(port, end):
    here = port()
    here.send(b"EURUSD 1" + end, b"", b"EURUSD 2")
    assert here.stored() == ["EURUSD 1", "EURUSD 2"]
    assert here.count("received", "refused") == [3, 1]


# Strangers


def test_strangers_are_denied_and_counted(port, warnings):
    here = port(host="192.0.2.1")
    here.send(b"EURUSD 1", b"@@desk 1\nEURUSD 2", sender=THERE)
    assert here.stored() == []
    assert here.count("received", "refused", "sources") == [2, 2, 0]
    assert len(warnings()) == 2
    assert "access.anonymous" in str(warnings()[0]["error"])


def test_strangers_may_send_where_that_is_said(port):
    here = port("access.anonymous=send", host="192.0.2.1")
    here.send(b"EURUSD 1", sender=THERE)
    assert here.stored() == ["EURUSD 1"]


def test_a_network_that_sends_rubbish_can_not_fill_the_log(port, warnings):
    here = port()
    for _ in range(100):
        here.send(b"bad")
    assert here.count("refused") == [100]
    assert len(warnings()) == 5


def test_a_log_line_cannot_be_forged(port, warnings):
    port().send(b"x \x1b[2J\r")
    assert warnings()[0]["error"].offending
    assert "\x1b" not in str(warnings()[0]["error"])
    assert "\r" not in str(warnings()[0]["error"])


# The start


@pytest.mark.parametrize(("granted", "lines"), [(1_000, 0), (999, 1), (2_000, 0)])
def test_a_receive_buffer_that_the_kernel_does_not_grant_is_said_once(
    port, warnings, monkeypatch, granted, lines
):
    monkeypatch.setattr(udp, "set_receive_buffer", lambda port, wanted: granted)
    port("ticks.receive_buffer=1000").protocol.startProtocol()
    assert len(warnings()) == lines


def test_what_the_kernel_dropped_is_counted(port, monkeypatch):
    monkeypatch.setattr(udp, "set_receive_buffer", lambda port, wanted: wanted)
    here = port()
    here.protocol.startProtocol()
    here.wire.lost = 7
    assert here.count("kernel_drops") == [7]
