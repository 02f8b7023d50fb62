"""The web service as a component: it serves the resources of all the others."""

import json

import pytest
from zope.interface.verify import verifyObject

from mtnet import __version__
from mtnet.interfaces import (
    IFirstBytes,
    IHttpResources,
    IHttpServer,
    IService,
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.testing import connect


@pytest.fixture
def env(env_with):
    return env_with()


@pytest.fixture
def component(env):
    return env.components.services["web"]


def ask(factory, clock, path, body=b""):
    """Return the status and the body of the answer to a request."""
    terminal = connect(factory, clock)
    head = f"{'PUT' if body else 'GET'} {path} HTTP/1.1\r\nHost: localhost\r\n"
    terminal.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    clock.advance(0)
    head, _, body = terminal.received().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


INTERFACES = (IService, IStreamListener, IFirstBytes, IHttpResources, IHttpServer)


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_component_keeps_its_interfaces(component, interface):
    assert verifyObject(interface, interface(component))


@pytest.mark.parametrize(
    ("head", "own"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"PUT /templates/EURUSD/H1 HTTP/1.1\r\n", True),
        (b"OPTIO", None),
        (b"FETCH EURUSD H1\r\n", False),
        (b"EURUSD 1.1\n", False),
    ],
)
def test_first_bytes_of_requests_are_recognized(component, head, own):
    assert IFirstBytes(component).recognize(head) is own


def test_the_web_port_serves_every_component_and_a_port_of_others_theirs_alone(component, clock):
    web = IStreamListener(component).factory(Listener("web", "tcp:8083"))
    templates = IHttpServer(component).site(Listener("templates", "tcp:8080"), ("templates",))
    assert ask(web, clock, "/templates") == ask(templates, clock, "/templates") == (200, b"[]\n")
    status, body = ask(web, clock, "/version")
    assert (status, json.loads(body)) == (200, {"name": "mtnet", "version": __version__})
    assert ask(web, clock, "/healthz")[0] == 200
    assert ask(templates, clock, "/version")[0] == ask(templates, clock, "/healthz")[0] == 404


def test_a_body_is_refused_by_the_setting_that_limits_it(env_with, clock):
    component = env_with("templates.max_size=100").components.services["web"]
    web = IStreamListener(component).factory(Listener("web", "tcp:8083"))
    status, body = ask(web, clock, "/templates/EURUSD/H1", b"x" * 105)
    assert status == 413
    assert json.loads(body) == {
        "error": "size",
        "text": "The body has 105 bytes, and templates.max_size allows 100.",
    }


class Connection:
    """A connection, as the limits of connections see it."""

    trusted = False

    def __init__(self, host, known):
        self.host, self.known = host, known

    def evict(self):
        raise AssertionError("None of these is to be closed.")


def test_10_000_connections_fit_500_of_a_network_with_a_login_and_50_of_another(env):
    limiter = env.access.limiter("web")

    def admitted(count, host, known):
        return sum(limiter.admit(Connection(host(n), known)) for n in range(count))

    assert admitted(501, lambda n: "192.0.2.7", True) == 500
    assert admitted(51, lambda n: "192.0.2.8", False) == 50
    assert admitted(10_000, lambda n: f"10.0.{n // 256}.{n % 256}", False) == 9_450
    assert limiter.report() == {
        "connections": 10_000, "strangers": 0, "network full": 2, "full": 550
    }  # fmt: skip
