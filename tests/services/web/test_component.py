"""The web service as a component: it serves the resources of all the others."""

import json

import pytest
from twisted.web.resource import Resource
from zope.interface.verify import verifyObject

from mtnet import __version__
from mtnet.errors import ConfigError
from mtnet.interfaces import (
    IFirstBytes,
    IHttpResources,
    IHttpServer,
    IService,
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.net.http import BodyLimit, MethodResource
from mtnet.services.web.resources import resource_tree
from mtnet.testing import connect


class Alerts:
    """A component of another package, with one resource that is an ordinary one of Twisted's."""

    def __init__(self, *paths, resource=None):
        self.paths, self.resource = paths, resource or Resource()

    def resources(self):
        return {path: self.resource for path in self.paths}


class Upload(MethodResource):
    """A resource that takes bodies."""

    def __init__(self, size, reason):
        super().__init__()
        self.body_limit = BodyLimit(size, reason)


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
    assert verifyObject(interface, component)


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
    assert component.recognize(head) is own


def test_the_web_port_serves_every_component_and_a_port_of_others_theirs_alone(component, clock):
    web = component.factory(Listener("web", "tcp:8083"))
    templates = component.site(Listener("templates", "tcp:8080"), ("templates",))
    assert ask(web, clock, "/templates") == ask(templates, clock, "/templates") == (200, b"[]\n")
    status, body = ask(web, clock, "/version")
    assert (status, json.loads(body)) == (200, {"name": "mtnet", "version": __version__})
    assert ask(web, clock, "/healthz")[0] == 200
    assert ask(templates, clock, "/version")[0] == ask(templates, clock, "/healthz")[0] == 404


def test_paths_are_those_of_the_components_that_are_named():
    providers = {"alerts": Alerts(b"alerts", b"rules"), "news": Alerts(b"news")}
    assert set(resource_tree(providers, ("alerts", "news")).children) == {
        b"alerts",
        b"rules",
        b"news",
    }
    assert set(resource_tree(providers, ("news",)).children) == {b"news"}


def test_two_components_cannot_have_one_path():
    providers = {"alerts": Alerts(b"alerts"), "news": Alerts(b"news", b"alerts")}
    with pytest.raises(ConfigError, match=r"^The HTTP path /alerts of news is also that of alerts"):
        resource_tree(providers, providers)


def test_the_largest_body_limit_of_the_resources_counts():
    small, large = Upload(10, "news.size allows 10"), Upload(20, "alerts.size allows 20")
    providers = {"news": Alerts(b"news", resource=small), "alerts": Alerts(b"a", resource=large)}
    assert resource_tree(providers, providers).body_limit == large.body_limit
    assert resource_tree(providers, ("news",)).body_limit == small.body_limit
    assert resource_tree({"x": Alerts(b"x", resource=Resource())}, ("x",)).body_limit.size == 0


def test_the_longest_stall_timeout_that_a_resource_sets_counts():
    resources = {"slow": Upload(1, ""), "fast": Upload(1, ""), "none": Resource()}
    resources["slow"].stall_timeout, resources["fast"].stall_timeout = 9.0, 2.0
    providers = {name: Alerts(name.encode(), resource=each) for name, each in resources.items()}
    assert resource_tree(providers, providers).stall_timeout == 9.0
    assert resource_tree(providers, ("fast", "none")).stall_timeout == 2.0
    assert resource_tree(providers, ("none",)).stall_timeout is None


def test_a_body_is_refused_by_the_setting_that_limits_it(env_with, clock):
    component = env_with("templates.max_size=100").components.services["web"]
    web = component.factory(Listener("web", "tcp:8083"))
    status, body = ask(web, clock, "/templates/EURUSD/H1", b"x" * 105)
    assert status == 413
    assert json.loads(body) == {
        "error": "size",
        "text": "The body has 105 bytes, and templates.max_size allows 100.",
    }


def test_where_no_resource_takes_a_body_none_is_taken(component, clock):
    site = component.site(Listener("web", "tcp:8083"), ("web",))
    status, body = ask(site, clock, "/version", b"x")
    assert status == 413
    assert json.loads(body)["text"] == "The body has 1 bytes, and nothing here takes one."
