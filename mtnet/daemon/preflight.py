"""Preflight checks of the configuration, before anything is started."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.store import AccountStore
from mtnet.access.addresses import is_loopback
from mtnet.access.anonymous import AnonymousAccess
from mtnet.config.loader import endpoints
from mtnet.config.schema import Config
from mtnet.daemon.components import DAEMON
from mtnet.daemon.conditions import DaemonGrammar
from mtnet.daemon.datadir import ACCOUNTS, check_permissions
from mtnet.daemon.registry import broken, check_kind, default_endpoints, installed, permissions
from mtnet.errors import ConfigError, JournalError, StartError
from mtnet.interfaces import IReferences, IServicePlugin, ISettingsCheck
from mtnet.net.endpoints import Listener
from mtnet.net.proxy.protocol import TrustedProxies
from mtnet.net.tls.files import default_files
from mtnet.net.tls.store import CertificateStore

T = TypeVar("T")


def check_plugins() -> None:
    """
    Check that every plugin can be imported, before Twisted logs a traceback for each.

    Raises:
        ConfigError: one sentence for each that cannot.
    """
    problems = broken()
    if problems:
        raise ConfigError("\nmtnet: ".join(problems))


def check(config: Config, reactor: Any, now: Callable[[], int]) -> None:
    """
    Look for what would keep the daemon from starting, without starting anything.

    Args:
        now: wall time, milliseconds since the Unix epoch.

    Raises:
        ConfigError: one sentence for each thing found.
    """
    problems: list[str] = []
    found = listeners(config)
    for step in (
        partial(check_settings, config, reactor),
        partial(certificates, config, now),
        partial(check_permissions, Path(config.data)),
    ):
        _try(problems, step, None)
    # Unknown rights and accounts are reported once, and not again for each listener.
    anonymous = _try(problems, partial(rules, config), AnonymousAccess(permissions(), ()))
    accounts = _try(problems, partial(has_accounts, config), True)
    for listener in found:
        _try(problems, partial(_check_listener, listener, anonymous, accounts, reactor), None)
    if problems:
        raise ConfigError("\nmtnet: ".join(problems))


def _try(problems: list[str], step: Callable[[], T], otherwise: T) -> T:
    """Return what a step returns; where it fails, note the sentence and return `otherwise`."""
    try:
        return step()
    except (ConfigError, StartError) as error:
        problems.append(str(error))
        return otherwise


def listeners(config: Config) -> list[Listener]:
    """
    Return the endpoints of each service.

    Raises:
        ConfigError: no such service, or an endpoint that it does not hear.
    """
    services = installed()
    for name in config.listen:
        if name not in services:
            raise ConfigError(
                f"listen names {name}, and no such service is installed; there are "
                f"{', '.join(_with_ports(services))}."
                + "".join(f" {sentence}" for sentence in broken())
            )
    heard = [
        (service, Listener(name, endpoint))
        for name, service in services.items()
        for endpoint in endpoints(config, name, default_endpoints(service))
    ]
    for service, listener in heard:
        check_kind(service, listener)
    return [listener for _, listener in heard]


def certificates(config: Config, now: Callable[[], int]) -> CertificateStore | None:
    """
    Return what `secure:` endpoints serve; None = there are no such endpoints.

    Raises:
        ConfigError: there is no certificate, or one that cannot be served; or `[tls]` or
            `access.proxies` cannot be meant so.
    """
    _check_tls(config)
    secure = [listener for listener in listeners(config) if listener.secure]
    if not secure:
        return None
    folder = Path(config.data) / "tls"
    if not (config.tls.certificate or any(map(Path.exists, default_files(config.tls, folder)))):
        raise ConfigError(
            f"{secure[0].service} on {secure[0].endpoint} needs a certificate, and there is no "
            f"{default_files(config.tls, folder)[0]}: make one with `mtnet cert init`, or set "
            "tls.certificate and tls.key."
        )
    return CertificateStore(config.tls, folder, now)


def check_settings(config: Config, reactor: Any) -> None:
    """
    Check what no type can, of each component.

    Raises:
        ConfigError: what the first component finds wrong.
    """
    services = installed()
    heard = {
        name: endpoints(config, name, default_endpoints(plugin))
        for name, plugin in services.items()
    }
    shared = [text for name, plugin in services.items() if plugin.shared for text in heard[name]]
    for name, plugin in services.items():
        if ISettingsCheck.providedBy(plugin):
            section = config.section(name)
            ISettingsCheck(plugin).check(section, [*heard[name], *shared], reactor)
    _check_references(config, services)


def _check_references(config: Config, services: Mapping[str, IServicePlugin]) -> None:
    plugins = {**services, DAEMON: DaemonGrammar()}
    sections = {name: config.section(name) for name in services}
    for name, plugin in services.items():
        if IReferences.providedBy(plugin):
            IReferences(plugin).check_references(sections[name], plugins, sections)


def _check_tls(config: Config) -> None:
    if bool(config.tls.certificate) != bool(config.tls.key):
        raise ConfigError("tls.certificate and tls.key belong together; set both, or neither.")
    if config.tls.client_certificates != "none" and not config.tls.client_ca:
        raise ConfigError(
            f'tls.client_certificates is "{config.tls.client_certificates}": set tls.client_ca to '
            "the PEM file of the authority that issues them."
        )
    try:
        TrustedProxies(config.access.proxies)
    except ValueError as error:
        raise ConfigError(f"access.proxies: {error}.") from error


def has_accounts(config: Config) -> bool:
    """
    Say whether anybody can log in.

    Raises:
        ConfigError: the file of accounts cannot be read.
    """
    path = Path(config.data) / ACCOUNTS
    try:
        return path.exists() and not Accounts(AccountStore(path, permissions()).directory()).empty
    except JournalError as error:
        raise ConfigError(str(error)) from error


def _check_listener(
    listener: Listener, anonymous: AnonymousAccess, accounts: bool, reactor: Any
) -> None:
    if listener.kind == "systemd":
        return  # its sockets are there only when systemd starts the daemon
    if listener.datagrams:
        _ = listener.port
    else:
        listener.server(reactor)
    check_exposure(anonymous, accounts, listener, listener.interface)


def rules(config: Config) -> AnonymousAccess:
    """
    Return what may be done without a login.

    Raises:
        ConfigError: `[access]` names an invalid right or network.
    """
    access, services = config.access, installed()
    for service in access.connections:
        if service not in services:
            raise ConfigError(
                f"access.connections names {service}, and no such service is installed; there "
                f"are {', '.join(_with_ports(services))}."
            )
    return AnonymousAccess(
        permissions(services), access.anonymous, access.networks, access.trust_loopback
    )


def check_exposure(
    anonymous: AnonymousAccess, accounts: bool, listener: Listener, host: str
) -> None:
    """
    Refuse to listen for other machines without accounts and access rules.

    Args:
        anonymous: what may be done without a login.
        accounts: whether anybody can log in.
        host: the address that is listened on.

    Raises:
        ConfigError: other machines can reach it, and there are no accounts and no access rules.
    """
    if accounts or anonymous.configured:
        return
    if not anonymous.loopback:
        raise ConfigError(
            "access.trust_loopback is off, and there are no accounts and no access rules: "
            "make an account with `mtnet account add`, or set access.anonymous."
        )
    if listener.proxied or not is_loopback(host):
        by, or_else = "from other machines", ", or add :interface=127.0.0.1 to the endpoint"
        if listener.path:
            by, or_else = "by other users of this machine", ""
        raise ConfigError(
            f"{listener.service} on {listener.endpoint} can be reached {by}, and there are no "
            "accounts and no access rules: make an account with `mtnet account add NAME --role "
            "follower`, or set rights without a login (--set access.anonymous=follow)"
            f"{or_else}."
        )


def _with_ports(services: Mapping[str, IServicePlugin]) -> list[str]:
    return [name for name, plugin in services.items() if plugin.listens]
