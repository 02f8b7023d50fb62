"""The registry of plugins: services, and factories that are adapted to them."""

import pytest
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.daemon import registry
from mtnet.errors import ConfigError
from mtnet.interfaces import (
    IDatagramListener,
    IDatagramPlugin,
    IListenerAware,
    IService,
    IServicePlugin,
    IStreamListener,
    IStreamPlugin,
)
from mtnet.net.endpoints import Listener
from mtnet.testing import make_environment


@implementer(IStreamPlugin)
class Stream:
    name, description, rights = "echo", "echoes", ("follow",)
    defaultEndpoint = "tcp:7:interface=127.0.0.1"

    def buildFactory(self, env):
        return Factory()


@implementer(IDatagramPlugin)
class Datagram:
    name, description, rights, defaultEndpoint = "echo", "echoes", ("send",), None

    def buildProtocol(self, env, listener):
        protocol = DatagramProtocol()
        protocol.listener = listener
        return protocol


@pytest.fixture
def plugins(monkeypatch):
    """Install these plugins and no others: `plugins(one, two)`."""

    def install(*found):
        monkeypatch.setattr(
            registry,
            "getPlugins",
            lambda kind, package: [each for each in found if kind.providedBy(each)],
        )
        return registry.installed()

    return install


def test_a_factory_for_streams_and_one_for_datagrams_are_one_service(plugins, tmp_path):
    adapted = plugins(Stream(), Datagram())["echo"]
    assert verifyObject(IServicePlugin, adapted)
    assert adapted.listens == {"stream": Stream.defaultEndpoint, "datagram": None}
    assert registry.default_endpoints(adapted) == [Stream.defaultEndpoint]
    env = make_environment(tmp_path, Clock(), plugins={"echo": adapted})
    service = env.components.services["echo"]
    for interface in (IService, IStreamListener, IDatagramListener):
        assert verifyObject(interface, service)
    assert (service.verbs, service.datagram_verbs) == (("follow",), ("send",))
    assert isinstance(env.factory("echo"), Factory)
    listener = Listener("echo", "udp:7")
    assert service.protocol(listener).listener == listener


def test_a_factory_that_knows_its_listeners_is_asked_for_one(plugins, tmp_path):
    @implementer(IListenerAware)
    class Aware(Factory):
        def at(self, listener):
            return listener

    class Plugin(Stream):
        def buildFactory(self, env):
            return Aware()

    env = make_environment(tmp_path, Clock(), plugins=plugins(Plugin()))
    assert env.factory("echo", Listener("echo", "tcp:9")) == Listener("echo", "tcp:9")


def test_a_factory_for_streams_takes_no_datagrams(plugins):
    adapted = plugins(Stream())["echo"]
    registry.check_kind(adapted, Listener("echo", "tcp:7"))
    with pytest.raises(ConfigError, match="datagrams"):
        registry.check_kind(adapted, Listener("echo", "udp:7"))


@pytest.mark.parametrize("kind", [Stream, Datagram])
def test_two_plugins_of_one_name_are_refused_with_their_files(plugins, kind):
    with pytest.raises(ConfigError, match=r"Two plugins are named echo: .*test_registry\.py"):
        plugins(kind(), kind())


def test_a_service_and_a_factory_of_one_name_are_refused(plugins):
    @implementer(IServicePlugin)
    class Plugin:
        name = "echo"

    with pytest.raises(ConfigError, match="Two plugins are named echo"):
        plugins(Plugin(), Stream())


def test_each_component_is_listed_with_its_file(plugins):
    plugins(Stream())
    assert registry.component_list() == f"echo  {__file__}"


def test_rights_and_roles_come_from_the_plugins(plugins):
    class Plugin(Stream):
        pass

    known = registry.permissions(plugins(Plugin()))
    assert [str(right) for right in known.rights(["follow:echo"])] == ["follow:echo"]
