"""What can be found wrong with a configuration before anything is started."""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.endpoints import clientFromString

from mtnet.access.rights import Access, is_loopback
from mtnet.catalogue import Plugin, broken, installed
from mtnet.config import Config, endpoints
from mtnet.errors import ConfigError, WireError
from mtnet.imtnet import IStreamPlugin
from mtnet.net.endpoints import Listener
from mtnet.ticks.wire import spellings


def check(config: Config, reactor: Any) -> None:
    """
    Look for what would keep the daemon from starting, without starting anything.

    Raises:
        ConfigError: one sentence for each thing found.
    """
    problems = broken()
    if problems:  # Twisted would log the traceback of each on the way to the plugins
        raise ConfigError("\nmtnet: ".join(problems))
    steps: list[Callable[[], object]] = [
        partial(check_settings, config, reactor),
        partial(check_ports, config),
        *(partial(_check_listener, *each, config, reactor) for each in listeners(config)),
    ]
    for step in steps:
        try:
            step()
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\nmtnet: ".join(problems))


def listeners(config: Config) -> list[tuple[Plugin, Listener]]:
    """
    Return each service with each of its endpoints.

    Raises:
        ConfigError: no such service, or an endpoint on which it cannot work.
    """
    services = installed()
    for name in config.listen:
        if name not in services:
            raise ConfigError(
                f"listen names {name}, and no such service is installed; there are "
                f"{', '.join(services)}." + "".join(f" {sentence}" for sentence in broken())
            )
    heard = [
        (service, Listener(name, endpoint))
        for name, service in services.items()
        for endpoint in endpoints(config, name, service.defaults)
    ]
    found = [(service.plugin(listener), listener) for service, listener in heard]
    for plugin, listener in found:
        if listener.proxied and IStreamPlugin(plugin).speaksFirst:
            raise ConfigError(
                f"{listener.service} on {listener.endpoint}: the server speaks first there, and "
                "behind haproxy: it does not know to whom; use the endpoint without haproxy:."
            )
    return found


def check_settings(config: Config, reactor: Any) -> None:
    """
    Check what no type can.

    Raises:
        ConfigError: `signals.codepage`, the endpoint of a source, or a symbol is none.
    """
    try:
        spellings(config.ticks.spaced_symbols)
    except WireError as error:
        raise ConfigError(f"ticks.spaced_symbols: {error}.") from error
    try:
        b"x".decode(config.signals.codepage, "replace")
    except (LookupError, UnicodeError) as error:
        raise ConfigError(
            f"signals.codepage is {config.signals.codepage!r}, which is no text encoding; "
            "cp1252 or cp1251 would be one."
        ) from error
    for name, source in config.signals.sources.items():
        try:
            clientFromString(reactor, source.connect)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise ConfigError(
                f"signals.sources.{name}.connect is {source.connect!r}, which is no client "
                f"endpoint ({error}); tcp:192.0.2.7:8081 would be one."
            ) from error


def check_ports(config: Config) -> None:
    """
    Check that each of `[signals.ports]` is listened on: a typing error would put positions
    into the wrong channel.

    Raises:
        ConfigError: one is not.
    """
    served = endpoints(config, "signals", installed()["signals"].defaults)
    for endpoint in config.signals.ports:
        if endpoint not in served:
            raise ConfigError(
                f'signals.ports."{endpoint}" is no endpoint that signals listens on; listen '
                f"names {', '.join(served) or 'none'}, and the texts must be the same."
            )


def _check_listener(plugin: Plugin, listener: Listener, config: Config, reactor: Any) -> None:
    if listener.datagrams:
        _ = listener.port
        check_exposure(Access(config.access.anonymous), listener, listener.interface)
    elif listener.kind != "systemd":  # its sockets are there only when systemd starts the daemon
        listener.server(reactor)
        check_exposure(Access(config.access.anonymous), listener, listener.interface)


def check_exposure(access: Access, listener: Listener, host: str) -> None:
    """
    Keep strangers out until somebody said what they may do.

    Args:
        host: the address that is listened on.

    Raises:
        ConfigError: other machines can reach it, and nobody said so.
    """
    if not access.said and (listener.proxied or not is_loopback(host)):
        raise ConfigError(
            f"{listener.service} on {listener.endpoint} can be reached from other machines, and "
            "nobody said what strangers may do: set access.anonymous (for example "
            "--set access.anonymous=follow), or add :interface=127.0.0.1 to the endpoint."
        )
