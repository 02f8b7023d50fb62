"""The container of components: what they are given, and how they find each other."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from mtnet.daemon.components import Components
from mtnet.daemon.registry import installed
from mtnet.errors import ConfigError
from mtnet.interfaces import IAssembled, IControlCommands, IService, IServicePlugin, IStatus
from mtnet.testing import make_environment


class IGreeting(Interface):
    """What one component offers another."""


class Greeting:
    """An offer that is not the service itself."""


@implementer(IService, IStatus, IControlCommands)
class Service:
    def __init__(self, env, events):
        self.env, self.events, self.stopped = env, events, Deferred()

    def __conform__(self, interface):
        return Greeting() if interface is IGreeting and self.env.name == "one" else None

    def start(self):
        self.events.append(f"start {self.env.name}")

    def stop(self):
        self.events.append(f"stop {self.env.name}")
        return self.stopped

    def health(self):
        return {"healthy": True}

    def status(self):
        return {"healthy": True, "name": self.env.name}

    def commands(self):
        return {"greet": lambda asked: "hello"}


class Plugin:
    settings, permissions, roles, listens, shared, command = None, (), {}, {}, False, None

    def __init__(self, name, events):
        self.name, self._events = name, events

    def build(self, env):
        return Service(env, self._events)


@pytest.fixture
def events():
    return []


@pytest.fixture
def components(tmp_path, events):
    plugins = {name: Plugin(name, events) for name in ("one", "two")}
    return make_environment(tmp_path / "data", Clock(), plugins=plugins).components


def test_every_built_in_keeps_the_interface_of_plugins():
    for plugin in installed().values():
        assert verifyObject(IServicePlugin, plugin)


def test_each_has_a_view_of_its_own(components, tmp_path):
    env = components.environments["one"]
    assert (env.name, env.section) == ("one", None)
    assert env.file("x.sqlite") == tmp_path / "data" / "x.sqlite"
    assert not (tmp_path / "data" / "one").exists()
    assert env.data == tmp_path / "data" / "one"
    assert env.data.stat().st_mode & 0o777 == 0o700


def test_a_worker_is_made_once_and_belongs_to_its_component(components):
    one, two = components.environments["one"], components.environments["two"]
    assert one.worker() is one.worker()
    assert one.worker("other") is not one.worker()
    assert two.worker() is not one.worker()
    assert {name: set(own) for name, own in components.workers.items()} == {
        "one": {"", "other"},
        "two": {""},
    }


def test_an_offer_is_found_by_its_interface_alone(components):
    two = components.environments["two"]
    assert isinstance(two.find(IGreeting), Greeting)
    assert set(two.find_all(IGreeting)) == {"one"}
    assert set(two.find_all(IStatus)) == {"one", "two"}


def test_what_the_daemon_itself_offers_is_found_under_a_name_of_its_own(components):
    @implementer(IGreeting)
    class Own:
        pass

    own = Own()
    found = Components({}, components.environments["one"], None, own).find_all(IGreeting)
    assert found == {"daemon": own}


def test_no_service_has_the_name_of_the_daemon(components, events):
    plugins = {"daemon": Plugin("daemon", events)}
    with pytest.raises(ConfigError, match="cannot be named daemon"):
        Components(plugins, components.environments["one"], None)


def test_what_nobody_offers_is_none(components):
    class IOther(Interface):
        pass

    assert components.find(IOther) is None
    assert components.find_all(IOther) == {}


def test_reports_are_by_name(components):
    assert components.health() == {"one": {"healthy": True}, "two": {"healthy": True}}
    assert components.status()["two"] == {"healthy": True, "name": "two"}


def test_two_commands_of_one_name_are_refused(components):
    with pytest.raises(ConfigError, match="'greet' of two is also another's"):
        components.commands()


def test_they_start_in_order_and_stop_in_the_opposite_one_without_waiting(components, events):
    Deferred.fromCoroutine(components.start())
    stopped = Deferred.fromCoroutine(components.stop())
    assert events == ["start one", "start two", "stop two", "stop one"]
    components.services["two"].stopped.callback(None)
    assert not stopped.called
    components.services["one"].stopped.callback(None)
    assert stopped.called


def test_a_component_that_cannot_stop_is_logged_and_keeps_no_other_from_it(components, log):
    stopped = Deferred.fromCoroutine(components.stop())
    components.services["two"].stopped.errback(OSError("The disk is gone."))
    components.services["one"].stopped.callback(None)
    assert stopped.called
    (logged,) = [each for each in log if "could not" in each["log_format"]]
    assert (logged["name"], logged["verb"]) == ("two", "stop")


@pytest.mark.parametrize("fails", [True, False])
def test_a_component_that_does_not_start_keeps_no_other_from_it(components, events, log, fails):
    components.services["one"].start = (lambda: 1 / 0) if fails else Deferred
    Deferred.fromCoroutine(components.start())
    assert events == ["start two"]
    logged = [(each["name"], each["verb"]) for each in log if "could not" in each["log_format"]]
    assert logged == [("one", "start")] * fails


def test_the_daemons_own_view_has_no_components(components):
    with pytest.raises(LookupError):
        components._env.find(IGreeting)


def test_a_component_is_asked_once_all_are_built_whether_it_can_work(tmp_path, events):
    @implementer(IAssembled)
    class Strict(Service):
        def assembled(self):
            offered = self.env.find_all(IControlCommands)
            raise ConfigError(f"There are {', '.join(offered)}.")

    class StrictPlugin(Plugin):
        def build(self, env):
            return Strict(env, events)

    plugins = {"one": StrictPlugin("one", events), "two": Plugin("two", events)}
    with pytest.raises(ConfigError, match="There are one, two"):
        make_environment(tmp_path, Clock(), plugins=plugins)


def test_a_thread_that_waits_for_other_machines_is_none_of_the_disk(components):
    env = components.environments["one"]
    assert env.worker("send", patient=True) is env.worker("send", patient=True)
    assert "one" not in components.workers
    assert set(components.patient["one"]) == {"send"}
