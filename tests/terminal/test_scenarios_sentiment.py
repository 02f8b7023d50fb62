"""Programs of the article's kind on the port of sentiment."""

import socket
from contextlib import closing

from imitation.server import LOOPBACK
from imitation.waiting import PATIENCE, until


def test_a_classic_program_votes_and_shows_the_sum_and_a_follower_there_is_sent_nothing(scene_at):
    scene = scene_at("sentiment.pace=0.5", services=["sentiment"])
    port = scene.server.ports["sentiment"]
    voter = scene.classic("SentimentClient", port)
    follower = scene.classic("SignalClient", port, LOGIN=4002)
    voter.say("set EURUSD 0.25")
    until(lambda: voter.comment == "EURUSD|0.25")
    with closing(socket.create_connection((LOOPBACK, port), PATIENCE, ("127.0.0.9", 0))) as other:
        other.sendall(b"<<EURUSD|-1.25>>")
        until(lambda: voter.comment == "EURUSD|-1.00")
        voter.say("set EURUSD 0")
        until(lambda: voter.comment == "EURUSD|-1.25")
    assert follower.holds()
    assert follower.sent == 0
