"""Sentiment by three roads of a real daemon."""

import json
import socket
from urllib.request import urlopen

from live_daemon import LOOPBACK, PATIENCE


def dial(daemon, service, source):
    port = daemon.port(service)
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))


def read(connection, wanted):
    found = b""
    while wanted not in found:
        more = connection.recv(65_536)
        assert more, found
        found += more


def test_votes_of_a_session_of_http_and_of_a_classic_program_are_one_sum(daemon):
    daemon.start(f"--listen=sentiment={LOOPBACK}", "--set=sentiment.min_clients=3")
    path = f"http://127.0.0.1:{daemon.port('web')}/v1/sentiment/EURUSD"
    with (
        dial(daemon, "signals", "127.0.0.2") as session,
        dial(daemon, "sentiment", "127.0.0.3") as classic,
    ):
        session.sendall(b"<<HELLO|v=2>><<SENTIMENTS|symbols=*>><<HOLD|symbol=EURUSD|volume=2>>")
        read(session, b"|net=0.00|clients=0|")
        classic.sendall(b"<<EURUSD|-0.50>>\0")
        read(classic, b"<<EURUSD|0.00>>\r\n")
        with urlopen(path, b'{"volume": 0.25}', PATIENCE) as answer:
            sums = json.load(answer)
        assert (sums["long"], sums["short"], sums["net"]) == ("2.25", "0.50", "1.75")
        assert sums["clients"] == 3
        read(session, b"|long=2.25|short=0.50|net=1.75|clients=3|")
        read(classic, b"<<EURUSD|1.75>>\r\n")
    assert "Traceback" not in daemon.logged()
