"""Which services are installed: the files on the path of `mtnet.plugins`."""

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from twisted.plugin import getPlugins

import mtnet.plugins
from mtnet.errors import ConfigError
from mtnet.interfaces import IDatagramPlugin, IStreamPlugin
from mtnet.net.endpoints import Listener

Plugin = IStreamPlugin | IDatagramPlugin


@dataclass
class Service:
    """
    What is hosted under one name.

    Attributes:
        stream, datagram: its plugins, of which one may be missing.
    """

    name: str
    stream: IStreamPlugin | None = None
    datagram: IDatagramPlugin | None = None

    @property
    def defaults(self) -> list[str]:
        """The endpoints it is heard on when nothing is configured."""
        plugins = [each for each in (self.datagram, self.stream) if each is not None]
        return [each.defaultEndpoint for each in plugins if each.defaultEndpoint is not None]

    def plugin(self, listener: Listener) -> Plugin:
        """
        Return the plugin that serves a listener.

        Raises:
            ConfigError: it hears no datagrams, or no streams.
        """
        found: Plugin | None = self.datagram if listener.datagrams else self.stream
        if found is None:
            kind = "datagrams" if listener.datagrams else "streams"
            raise ConfigError(f"{self.name} hears no {kind}, which {listener.endpoint} would be.")
        return found


def installed() -> dict[str, Service]:
    """
    Return the services by name.

    Raises:
        ConfigError: two stream plugins, or two datagram plugins, have one name.
    """
    found: dict[str, Service] = {}
    for stream in getPlugins(IStreamPlugin, mtnet.plugins):
        service = found.setdefault(stream.name, Service(stream.name))
        _check_alone(stream.name, service.stream, stream)
        service.stream = stream
    for datagram in getPlugins(IDatagramPlugin, mtnet.plugins):
        service = found.setdefault(datagram.name, Service(datagram.name))
        _check_alone(datagram.name, service.datagram, datagram)
        service.datagram = datagram
    return dict(sorted(found.items()))


def _check_alone(name: str, first: Plugin | None, second: Plugin) -> None:
    if first is not None:
        raise ConfigError(f"Two plugins are named {name}: {first!r} and {second!r}.")


def broken() -> list[str]:
    """Import every plugin file; return a sentence for each that cannot be."""
    sentences = []
    for module in iter_modules(mtnet.plugins.__path__, "mtnet.plugins."):
        try:
            import_module(module.name)
        except Exception as error:
            sentences.append(f"The plugin {module.name} cannot be imported: {error!r}.")
    return sentences
