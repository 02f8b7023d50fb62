"""Clients of Twisted over HTTP: their endpoint, and the command line."""

import pytest
from fakes.clients import HTTP, Harness
from fakes.servers import Outcome, Server
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from mtnet.client.http.endpoint import HttpEndpoint


@pytest.fixture
def harness(tmp_path):
    return Harness(tmp_path / "data")


def test_signals_come_once_and_in_order_over_a_restart(harness):
    publisher, follower = harness.publisher(road="http"), harness.follower(road="http")
    harness.pass_time(3)
    publisher.publish("EURUSD", "1", id="a")
    harness.pass_time(3)
    harness.restart()
    publisher.publish("EURUSD", "2", id="b")
    harness.pass_time(40)
    assert (publisher.answers, publisher.failed) == ({"a": 1, "b": 2}, [])
    assert follower.shows(harness.held())
    assert follower.seqs == sorted(set(follower.seqs))
    assert follower.blind[-1] == ""


def test_a_publisher_that_is_stopped_sends_first_what_waits(harness):
    publisher = harness.publisher(road="http")
    harness.pass_time(3)
    publisher.publish("EURUSD", "1", id="a")
    stopped = Outcome(publisher.publisher.stopService())
    harness.pass_time(2)
    assert list(harness.held()) == [("EURUSD", "")]
    assert not stopped.waits
    assert not any(each.client.connected for each in publisher.line.connections)


def test_another_publisher_takes_the_channel_over(harness):
    first = harness.publisher(road="http", name="first")
    harness.pass_time(3)
    first.publish("EURUSD", "1", id="a")
    harness.pass_time(3)
    second = harness.publisher(road="http", name="second", take="1")
    harness.pass_time(3)
    second.publish("EURUSD", "2", id="b")
    harness.pass_time(15)
    assert first.publisher.stopped
    assert first.events[-1] == "fenced main"
    assert second.answers == {"b": 2}


def test_a_program_that_is_started_again_under_its_name_goes_on(harness):
    for run in range(1, 3):
        publisher = harness.publisher(road="http", name="desk", take="free")
        harness.pass_time(3)
        publisher.publish("EURUSD", str(run), id=f"run-{run}")
        harness.pass_time(3)
        assert publisher.answers == {f"run-{run}": run}


@pytest.mark.parametrize("made", [lambda addr: Protocol(), lambda addr: None])
def test_a_client_that_speaks_no_http_says_so(made):
    factory = Factory()
    factory.buildProtocol = made
    server = Server()
    endpoint = HttpEndpoint(Clock(), HTTP, lambda host: server)
    with pytest.raises(Exception, match="HTTP brings signals alone"):
        endpoint.connect(factory)


def test_further_connections_go_to_the_address_that_was_checked_first(harness):
    asked, line = [], harness.line("http")

    def below(host):
        asked.append(host)
        return line

    harness.endpoint = lambda line: HttpEndpoint(harness.clock, HTTP, below)
    publisher = harness.publisher(road="http")
    harness.pass_time(3)
    publisher.publish("EURUSD", "1", id="a")
    harness.pass_time(3)
    assert publisher.answers == {"a": 1}
    assert asked[0] is None
    assert set(asked[1:]) == {"127.0.0.1"}
