"""Plugin registry: which services are installed, by the modules of `mtnet.plugins`."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from twisted.plugin import getPlugins
from zope.interface import directlyProvides, implementer

import mtnet.plugins
from mtnet.access.rights import Permissions
from mtnet.config.schema import Connections
from mtnet.errors import ConfigError
from mtnet.interfaces import (
    IAlwaysNamed,
    IDatagramListener,
    IDatagramPlugin,
    IListenerAware,
    IService,
    IServicePlugin,
    IStreamListener,
    IStreamPlugin,
)

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory
    from twisted.internet.protocol import DatagramProtocol

    from mtnet.net.endpoints import Listener


@implementer(IServicePlugin)
class FactoryPlugin:
    """Adapter: plugins of the short form, one for streams and one for datagrams, as a service."""

    settings = None
    roles: Mapping[str, tuple[str, ...]] = {}
    connections: Mapping[str, int] = {}
    command = None
    shared = False

    def __init__(self, stream: Any, datagram: Any) -> None:
        self.stream, self.datagram = stream, datagram
        first = stream or datagram
        self.name, self.description = first.name, first.description
        self.permissions: tuple[str, ...] = tuple(first.rights)
        kinds = {"stream": stream, "datagram": datagram}
        self.listens = {kind: each.defaultEndpoint for kind, each in kinds.items() if each}

    def build(self, env: Any) -> "FactoryService":
        """Return the service of both."""
        return FactoryService(self.stream, self.datagram, env)


@implementer(IService)
class FactoryService:
    """Adapter: the factory of a plugin of the short form as a service."""

    turn = 0.005
    welcomes = False

    def __init__(self, stream: Any, datagram: Any, env: Any) -> None:
        self._stream, self._datagram, self._env = stream, datagram, env
        self._factory = None if stream is None else stream.buildFactory(env)
        self.verbs, self.datagram_verbs = (
            each.rights if each else () for each in (stream, datagram)
        )
        offers = {IStreamListener: stream, IDatagramListener: datagram}
        directlyProvides(self, IService, *(kind for kind, each in offers.items() if each))

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def factory(self, listener: "Listener") -> "IProtocolFactory":
        """Return the factory, which may provide `IListenerAware`."""
        aware = IListenerAware(self._factory, None)
        factory: IProtocolFactory = self._factory if aware is None else aware.at(listener)
        return factory

    def protocol(self, listener: "Listener") -> "DatagramProtocol":
        """Return the protocol of a datagram listener."""
        protocol: DatagramProtocol = self._datagram.buildProtocol(self._env, listener)
        return protocol


def installed() -> dict[str, IServicePlugin]:
    """
    Return the plugins by name.

    Raises:
        ConfigError: two plugins have one name.
    """
    found: dict[str, IServicePlugin] = {}
    for plugin in [*getPlugins(IServicePlugin, mtnet.plugins), *_adapted()]:
        if plugin.name in found:
            raise ConfigError(
                f"Two plugins are named {plugin.name}: {source(found[plugin.name])} and "
                f"{source(plugin)}."
            )
        found[plugin.name] = plugin
    return dict(sorted(found.items()))


def _adapted() -> list[FactoryPlugin]:
    pairs: dict[str, dict[Any, Any]] = {}
    for kind in (IStreamPlugin, IDatagramPlugin):
        plugin: Any
        for plugin in getPlugins(kind, mtnet.plugins):
            own = pairs.setdefault(plugin.name, {})
            if kind in own:
                raise ConfigError(
                    f"Two plugins are named {plugin.name}: {source(own[kind])} and "
                    f"{source(plugin)}."
                )
            own[kind] = plugin
    return [FactoryPlugin(p.get(IStreamPlugin), p.get(IDatagramPlugin)) for p in pairs.values()]


def source(plugin: Any) -> str:
    """Return the file that a plugin comes from."""
    if isinstance(plugin, FactoryPlugin):
        plugin = plugin.stream or plugin.datagram
    return getattr(sys.modules.get(type(plugin).__module__), "__file__", None) or repr(plugin)


def component_list() -> str:
    """Return a line for each installed component, with the file that it comes from."""
    found = installed()
    width = max(map(len, found), default=0)
    return "\n".join(f"{name:{width}}  {source(plugin)}" for name, plugin in found.items())


def default_endpoints(plugin: IServicePlugin) -> list[str]:
    """Return the endpoints that a service listens on when nothing is configured."""
    order = (plugin.listens.get("datagram"), plugin.listens.get("stream"))
    return [endpoint for endpoint in order if endpoint is not None]


def check_kind(plugin: IServicePlugin, listener: "Listener") -> None:
    """
    Check that a service takes what arrives at a listener.

    Raises:
        ConfigError: it takes no datagrams, or no streams.
    """
    kind = "datagram" if listener.datagrams else "stream"
    if kind not in plugin.listens:
        raise ConfigError(f"{plugin.name} hears no {kind}s, which {listener.endpoint} would be.")


def broken() -> list[str]:
    """Import every plugin file; return a sentence for each that cannot be."""
    sentences = []
    for module in iter_modules(mtnet.plugins.__path__, "mtnet.plugins."):
        try:
            import_module(module.name)
        except Exception as error:
            path = getattr(module.module_finder, "path", "")
            sentences.append(f"The plugin {module.name} in {path} cannot be imported: {error!r}.")
    return sentences


def connection_limits(
    plugins: Mapping[str, IServicePlugin] | None = None,
) -> dict[str, Connections]:
    """
    Return the default limits of the services that have any.

    Args:
        plugins: by name; None = all that are installed.
    """
    found = installed() if plugins is None else plugins
    limits = {name: getattr(plugin, "connections", {}) for name, plugin in found.items()}
    return {name: Connections(**own) for name, own in limits.items() if own}


def permissions(plugins: Mapping[str, IServicePlugin] | None = None) -> Permissions:
    """
    Return the verbs and the roles of services.

    Args:
        plugins: by name; None = all that are installed.

    Raises:
        ConfigError: a role has a right that no service knows.
    """
    found = installed() if plugins is None else plugins
    named = {name for name, plugin in found.items() if IAlwaysNamed.providedBy(plugin)}
    return Permissions.of(
        {name: plugin.permissions for name, plugin in found.items()},
        [plugin.roles for plugin in found.values()],
        named,
    )
