"""Where the daemon listens: the text of an endpoint and what it tells about the listener."""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IReactorCore, IStreamServerEndpoint

from mtnet.errors import ConfigError

BACKLOG = 4096
"""Connections the kernel queues for us. With Twisted's 50, at 500 parallel clients some hang
for ever where the server speaks first; the kernel cuts it to `net.core.somaxconn`."""


_UDP = re.compile(r"udp:([0-9]{1,5})(?::interface=(?:[^:\\]|\\.)+)?", re.ASCII)


@dataclass(frozen=True)
class Listener:
    """
    One endpoint of one service.

    Attributes:
        service: the NAME of `--listen NAME=ENDPOINT`.
        endpoint: the ENDPOINT as it was written.
    """

    service: str
    endpoint: str

    @property
    def proxied(self) -> bool:
        """Whether peers are known only by what a proxy says of them."""
        return self.endpoint.startswith("haproxy:")

    @property
    def kind(self) -> str:
        """The first word of the endpoint behind `haproxy:`: `tcp`, `systemd` …"""
        return self.endpoint.removeprefix("haproxy:").partition(":")[0]

    @property
    def datagrams(self) -> bool:
        """Whether datagrams are heard there, and not streams."""
        return self.endpoint.partition(":")[0] == "udp"

    @property
    def port(self) -> int:
        """
        The port of a `udp:` endpoint.

        Raises:
            ConfigError: the text is not `udp:PORT[:interface=ADDR]`.
        """
        found = _UDP.fullmatch(self.endpoint)
        if found is None or int(found[1]) > 65_535 or not _is_address(self.interface):
            raise ConfigError(
                f"{self.service}={self.endpoint} is no endpoint; udp:8082 or "
                "udp:8082:interface=127.0.0.1 would be one."
            )
        return int(found[1])

    @property
    def security(self) -> str:
        """`TLS`, `plain`, or `plain UDP`."""
        if self.datagrams:
            return "plain UDP"
        return "TLS" if self.kind in ("ssl", "tls") else "plain"

    @property
    def interface(self) -> str:
        """The address that the text says it listens on; empty = every one."""
        for part in self.endpoint.replace("\\:", "\0").split(":"):
            if part.startswith("interface="):
                return part.removeprefix("interface=").replace("\0", ":")
        return ""

    @property
    def description(self) -> str:
        """The Twisted server string: `endpoint` with the backlog it did not name."""
        if self.kind not in ("tcp", "tcp6") or ":backlog=" in self.endpoint:
            return self.endpoint
        return f"{self.endpoint}:backlog={BACKLOG}"

    def server(self, reactor: IReactorCore) -> IStreamServerEndpoint:
        """
        Return what listens.

        Raises:
            ConfigError: Twisted cannot read the text.
        """
        where = f"{self.service}={self.endpoint}"
        try:
            server: IStreamServerEndpoint = serverFromString(reactor, self.description)
            return server
        except (ValueError, TypeError, IndexError) as error:
            raise ConfigError(
                f"{where} is no endpoint ({error}); tcp:8081 or "
                "tcp:8081:interface=127.0.0.1 would be one."
            ) from error
        except KeyError as error:
            raise ConfigError(f"{where}: systemd handed over no socket named {error}.") from error


def host_of(address: IAddress) -> str:
    """Return the host of an IPv4 or IPv6 address; of others, such as Unix sockets, nothing."""
    return str(getattr(address, "host", ""))


def show(address: IAddress) -> str:
    """Return an address as people write it: `127.0.0.1:8081`, `[::1]:8081`, or a path."""
    host, port = host_of(address), getattr(address, "port", None)
    if port is None:
        return os.fsdecode(getattr(address, "name", None) or str(address))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host or "0.0.0.0")
    except ValueError:
        return False
    return True
