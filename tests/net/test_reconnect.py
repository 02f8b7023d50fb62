"""When a server is dialled again."""

import pytest
from twisted.internet.defer import fail
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from mtnet.backoff import LONGEST_DELAY, backoff
from mtnet.net.reconnect import DELAY, stay_connected


@pytest.mark.parametrize("delay", [DELAY, backoff])
def test_a_crowd_does_not_come_back_at_once(delay):
    waits = {delay(9) for _ in range(50)}
    assert len(waits) > 40
    assert max(waits) - min(waits) > 0.5
    assert max(waits) <= LONGEST_DELAY + 1


class Deaf:
    """An endpoint where nobody is; it notes when it was dialled."""

    def __init__(self, clock):
        self.clock, self.dialled = clock, []

    def connect(self, factory):
        self.dialled.append(self.clock.seconds())
        return fail(ConnectError())


@pytest.mark.parametrize(("turned_away", "wait"), [(0, 1), (3, 3)])
def test_a_refused_client_waits_as_long_as_without_a_server(turned_away, wait):
    clock = Clock()
    deaf = Deaf(clock)
    stay_connected(deaf, Factory(), clock, lambda: turned_away, float).startService()
    clock.pump([1] * wait)
    assert deaf.dialled == [0, wait]
