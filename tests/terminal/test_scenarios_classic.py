"""Experts beside the article's programs: the bytes that those send and read."""

import socket

import pytest
from imitation.waiting import until

MASTER = b"<<EURUSD|0.50>>\0", b"<<GBPUSD|-10.25>>\0", b"<<GBPUSD|0.00>>\0>\0"
"""What a master sends: a NUL behind each frame, and the end of a longer one that went before."""


@pytest.fixture
def dial():
    """Connect as the article's programs do: they send frames at once, or nothing."""
    opened = []

    def dial(scene):
        opened.append(socket.create_connection(("127.0.0.1", scene.server.port), 5))
        return opened[-1]

    yield dial
    for each in opened:
        each.close()


def test_an_expert_follows_the_article_s_master(scene_at, dial):
    scene = scene_at()
    follower, master = scene.follower(), dial(scene)
    for frame in MASTER[:2]:
        master.sendall(frame)
    until(lambda: follower.holds(EURUSD=0.5, GBPUSD=-10.25))
    master.sendall(MASTER[2])
    until(lambda: follower.holds(EURUSD=0.5))


def test_the_article_s_client_follows_an_expert(scene_at, dial):
    scene = scene_at("signals.pace=0.2")
    provider, client = scene.provider(), dial(scene)
    client.setblocking(False)
    received = bytearray()

    def has(frame):
        try:
            received.extend(client.recv(4096))
        except BlockingIOError:
            return False
        return frame in received

    provider.say("set EURUSD 0.5")
    until(lambda: has(b"<<EURUSD|0.50>>"))
    provider.say("set EURUSD -1.25")
    until(lambda: has(b"<<EURUSD|-1.25>>"))
    provider.say("set EURUSD 0")
    until(lambda: has(b"<<EURUSD|0.00>>"))
    assert b"\0" not in received
