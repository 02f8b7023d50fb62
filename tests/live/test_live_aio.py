"""Clients of asyncio and of scripts over TLS and WebSocket, against a real daemon."""

import asyncio
import socket
from decimal import Decimal

import pytest
from live_daemon import RealDaemon
from tls_samples import Authority, Files

from mtnet.client import aio, sync
from mtnet.errors import ClientError

SECURE = "secure:0:interface=127.0.0.1"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A daemon that serves signals, ticks and web over TLS."""
    daemon = RealDaemon(tmp_path_factory.mktemp("secure"))
    daemon.data.mkdir(mode=0o700)
    daemon.files = Files(daemon.data / "tls", Authority())
    daemon.files.issue("localhost", "127.0.0.1")
    daemon.start(*[f"--listen={name}={SECURE}" for name in ("signals", "ticks", "web")])
    yield daemon
    daemon.stop()


def addresses(daemon):
    return (
        f"secure:127.0.0.1:{daemon.port('signals', 'TLS')}",
        f"wss://localhost:{daemon.port('web', 'TLS')}",
        f"ws://127.0.0.1:{daemon.port('web')}",
    )


def test_signals_go_from_every_road_to_every_road(secure, tmp_path):
    async def follow(address, count):
        found = []
        ca = None if address.startswith("ws:") else secure.files.ca
        async with aio.follow(address, ca=ca, retry=False) as entries:
            async for entry in entries:
                found.append((entry.symbol, entry.volume))
                if len(found) == count:
                    return found

    roads = (*addresses(secure), f"https://localhost:{secure.port('web', 'TLS')}")
    for number, address in enumerate(roads):
        ca = None if address.startswith("ws:") else secure.files.ca
        assert sync.publish(address, f"S{number}", "0.25", ca=ca) == number + 1
    expected = [(f"S{number}", Decimal("0.25")) for number in range(4)]
    for address in roads:
        assert asyncio.run(asyncio.wait_for(follow(address, 4), 20)) == expected


def test_ticks_come_over_tls_and_over_a_websocket_with_tls(secure):
    with secure.dial("ticks") as terminal:
        terminal.sendall(b"EURUSD 1.1 1.2\n")
        for address in (
            f"secure:localhost:{secure.port('ticks', 'TLS')}:ca={secure.files.ca}",
            f"wss://127.0.0.1:{secure.port('web', 'TLS')}/ws",
        ):
            ca = secure.files.ca if address.startswith("wss") else None
            with sync.ticks(address, ["EURUSD"], ca=ca, retry=False) as stream:
                assert next(iter(stream)).bid == "1.1"


def test_bars_come_on_every_road(secure):
    moment = 1_700_000_040_000
    with secure.dial("ticks") as terminal:
        terminal.sendall(
            b"GBPUSD 1.2 1.3 0 0 %d\nGBPUSD 1.21 1.3 0 0 %d\n" % (moment, moment + 60_000)
        )
        for address in addresses(secure):
            ca = None if address.startswith("ws:") else secure.files.ca
            with sync.bars(address, "GBPUSD", "M1", 2, ca=ca, retry=False) as stream:
                found = [next(stream) for _ in range(2)]
            shown = [(bar.time - moment, bar.close, bar.ticks, bar.current) for bar in found]
            assert shown == [(0, "1.20", 1, False), (60_000, "1.21", 1, True)]


def refusal(address, **options):
    with pytest.raises(ClientError) as caught:
        sync.publish(address, "A", "1", **options)
    return str(caught.value)


def test_a_server_that_is_not_who_it_should_be_is_one_sentence(secure, tmp_path):
    other = Files(tmp_path / "other", Authority("somebody else"))
    for address in addresses(secure)[:2]:
        assert "its certificate is refused" in refusal(address, ca=other.ca)
        assert "its certificate is refused" in refusal(address)
        assert "cannot be read" in refusal(address, ca=tmp_path / "none.pem")
    port = secure.port("signals", "TLS")
    named = refusal(f"secure:127.0.0.1:{port}:name=fx.example", ca=secure.files.ca)
    assert "fx.example" in named


def test_a_port_of_another_kind_is_one_sentence(secure):
    plain = secure.port("signals")
    assert "No connection" in refusal(f"secure:127.0.0.1:{plain}", ca=secure.files.ca)
    web = f"127.0.0.1:{secure.port('web')}"
    assert "refuses the WebSocket with HTTP status 404" in refusal(f"ws://{web}/nothing")
    assert "is lost" in refusal(f"tcp:{web}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert "Not confirmed within 0.5 s" in refusal(f"tcp:127.0.0.1:{port}", timeout=0.5)
