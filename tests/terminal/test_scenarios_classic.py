"""Programs of the article's kind, translated and run, beside the experts and at one daemon."""

import socket
from contextlib import closing

from imitation.server import LOOPBACK, free_port
from imitation.waiting import PATIENCE, until

PACE = "signals.pace=0.5"
"""Seconds between frames: longer than the client's timer at five times speed."""
TEMPLATE = "\ufeff<chart>\r\nsymbol=GBPUSD\r\n" + "comment=x\r\n" * 1500 + "</chart>\r\n"
HEADER = 20
"""Bytes of symbol and period before a template."""
LONG_LOTS = -10.25
"""A volume with a longer frame than the next one: the end of it stays in the server's buffer."""


def connect(port):
    return closing(socket.create_connection((LOOPBACK, port), PATIENCE))


def answer(port, sent):
    """Send bytes to a port and return all that it answers."""
    with connect(port) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def listens(port):
    try:
        with connect(port):
            return True
    except ConnectionRefusedError:
        return False


def test_an_expert_follows_a_classic_server_that_the_daemon_dials(scene_at):
    port = free_port()
    source = f"signals.sources.desk.connect=tcp:{LOOPBACK}:{port}"
    scene = scene_at(source)
    server, follower = scene.classic("SignalServer", port), scene.follower()
    for lots in (0.5, LONG_LOTS, 0.3):
        server.say(f"set EURUSD {lots}")
        until(lambda lots=lots: follower.holds(EURUSD=lots))
    server.say("set EURUSD 0")
    until(lambda: follower.holds())


def test_a_classic_client_follows_an_expert_and_tries_a_refused_trade_again(scene_at):
    scene = scene_at(PACE)
    provider, client = scene.provider(), scene.classic("SignalClient", scene.server.port)
    provider.say("set EURUSD 0.5", "set GBPUSD -0.2")
    until(lambda: client.holds(EURUSD=0.5, GBPUSD=-0.2))
    provider.say("set EURUSD -1.25", "set GBPUSD 0")
    until(lambda: client.holds(EURUSD=-1.25))
    client.say("fault retcode 10004 3 GBPUSD")
    provider.say("set GBPUSD 0.5")
    until(lambda: client.holds(EURUSD=-1.25, GBPUSD=0.5))
    provider.say("set EURUSD 0", "set GBPUSD 0")
    until(lambda: client.holds())


def test_templates_of_the_daemon_and_of_a_classic_server_are_taken(scene_at):
    scene = scene_at(services=["templates"])
    port, content = scene.server.ports["templates"], TEMPLATE.encode("utf-16-le")
    assert answer(port, store("M15", content)).startswith(b"OK 1")
    client = scene.classic("TemplateClient", port)
    until(lambda: client.state()["template"])
    assert (client.state()["chart"], client.state()["period"]) == ("GBPUSD", 15)
    # The program writes its file in pieces.
    until(lambda: (client.folder / client.state()["template"]).read_bytes() == content)
    client.quit()

    classic = free_port()
    server = scene.classic("TemplateServer", classic, CHART="GBPUSD")
    server.say("click chart")
    served = until(lambda: listens(classic) and answer(classic, b""))
    client = scene.classic("TemplateClient", classic)
    until(lambda: client.state()["chart"] == "GBPUSD" and client.state()["template"])
    assert answer(port, store("H1", served[HEADER:])).startswith(b"OK 1")
    taken = answer(port, b"FETCH GBPUSD H1\n")
    assert taken[:HEADER] == b"GBPUSD".ljust(10, b"\0") + b"16385".ljust(10, b"\0")
    assert "<expert>" not in taken[HEADER:].decode("utf-16")


def store(period, content):
    return b"STORE GBPUSD %s %d\n" % (period.encode(), len(content)) + content


def test_ticks_of_the_classic_programs_reach_subscribers(scene_at):
    scene = scene_at(services=["ticks"])
    port = scene.server.ports["ticks"]
    with connect(port) as subscriber:
        subscriber.sendall(b"SUBSCRIBE: EURUSD\r\n")
        lines = subscriber.makefile("rb")
        assert lines.readline() == b"OK: SUBSCRIBED EURUSD\r\n"
        scene.classic("TickSender", port).say("price EURUSD 1.12346 1.12351")
        assert lines.readline().startswith(b"TICK: EURUSD 1.12346 ")
        scene.classic("TickExport", port).say("price EURUSD 1.12347 1.12352")
        assert lines.readline().startswith(b"TICK: EURUSD 1.12347 1.12352 ")
