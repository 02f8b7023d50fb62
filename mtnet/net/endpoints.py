"""Endpoints of listeners: their text, parsed."""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_address

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IReactorCore, IStreamServerEndpoint

from mtnet.errors import ConfigError

BACKLOG = 4096
"""Connections the kernel queues for us. With Twisted's 50, at 500 parallel clients some hang
where the server speaks first; the kernel cuts it to `net.core.somaxconn`."""

PROXIED, SECURE = "haproxy:", "secure:"
"""Prefixes of a Twisted server string, in this order; `secure:8443` is short for
`secure:tcp:8443`."""
TWISTED_TLS = ("ssl", "tls")
"""Kinds of Twisted's own that speak TLS, with certificates of their own."""

MAX_PORT = 65_535

_PORT = re.compile(r"[0-9]+:|[^:]*$", re.ASCII)
_PORT_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)
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
        """Whether peers are known only by the PROXY header of a load balancer."""
        return self.endpoint.startswith(PROXIED)

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS with the certificates of `[tls]`."""
        return self.endpoint.removeprefix(PROXIED).startswith(SECURE)

    @property
    def plain(self) -> str:
        """The endpoint as a Twisted server string, without the prefixes."""
        inner = self.endpoint.removeprefix(PROXIED)
        if not self.secure:
            return inner
        inner = inner.removeprefix(SECURE)
        return f"tcp:{inner}" if _PORT.match(inner) else inner

    @property
    def kind(self) -> str:
        """The first word of `plain`: `tcp`, `systemd` …"""
        return self.plain.partition(":")[0]

    @property
    def path(self) -> str:
        """The path of a `unix:` endpoint; empty = it is none."""
        parts = self.plain.replace("\\:", "\0").split(":")
        if parts[0] != "unix" or len(parts) < 2:
            return ""
        return parts[1].removeprefix("address=").replace("\0", ":")

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
        if found is None or int(found[1]) > MAX_PORT or not _is_address(self.interface):
            raise ConfigError(
                f"Invalid endpoint {self.service}={self.endpoint}: expected udp:PORT. Example: "
                "udp:8082:interface=127.0.0.1."
            )
        return int(found[1])

    @property
    def security(self) -> str:
        """`TLS`, `plain`, or `plain UDP`."""
        if self.datagrams:
            return "plain UDP"
        return "TLS" if self.secure or self.kind in TWISTED_TLS else "plain"

    @property
    def interface(self) -> str:
        """The address that it listens on; empty = all."""
        for part in self.endpoint.replace("\\:", "\0").split(":"):
            if part.startswith("interface="):
                return part.removeprefix("interface=").replace("\0", ":")
        return ""

    @property
    def host(self) -> str:
        """Our end of every connection; empty = they differ, or none is known before it comes."""
        if self.kind not in ("tcp", "tcp6") or self.proxied or not _is_address(self.interface):
            return ""
        address = ip_address(self.interface or "0.0.0.0")
        return "" if address.is_unspecified else str(address)

    @property
    def description(self) -> str:
        """The Twisted server string: `plain` with the backlog it did not name."""
        if self.kind not in ("tcp", "tcp6") or ":backlog=" in self.plain:
            return self.plain
        return f"{self.plain}:backlog={BACKLOG}"

    def server(self, reactor: IReactorCore) -> IStreamServerEndpoint:
        """
        Return the endpoint that listens; TLS of `[tls]` and PROXY are the pipeline's part.

        Raises:
            ConfigError: Twisted cannot read the text.
        """
        where = f"{self.service}={self.endpoint}"
        # Twisted's own haproxy: believes everybody.
        if self.kind in (*TWISTED_TLS, "haproxy") and (self.proxied or self.secure):
            raise ConfigError(
                f"Invalid endpoint {where}: expected secure:PORT. Example: {PROXIED}{SECURE}8443."
            )
        self._check_tcp_port(where)
        try:
            server: IStreamServerEndpoint = serverFromString(reactor, self.description)
            return server
        except (ValueError, TypeError, IndexError) as error:
            raise ConfigError(
                f"Invalid endpoint {where}: expected TYPE:PORT ({error}). Example: "
                "tcp:8081:interface=127.0.0.1."
            ) from error
        except KeyError as error:
            raise ConfigError(f"{where}: systemd handed over no socket named {error}.") from error

    def _check_tcp_port(self, where: str) -> None:
        """Twisted's own errors are of `int`, and of the socket once it listens."""
        if self.kind not in ("tcp", "tcp6"):
            return
        parts = self.plain.replace("\\:", "\0").split(":")[1:]
        first = [part for part in parts[:1] if "=" not in part]
        named = [part.removeprefix("port=") for part in parts if part.startswith("port=")]
        port = (first + named or [""])[0]
        if not _PORT_NUMBER.fullmatch(port) or int(port) > MAX_PORT:
            raise ConfigError(
                f"Invalid endpoint {where}: the port is a whole number from 0 to {MAX_PORT}, not "
                f"{port!r}. Example: {self._example}."
            )

    @property
    def _example(self) -> str:
        """A right endpoint with the same prefixes."""
        if not self.secure:
            return f"{PROXIED * self.proxied}tcp:8081:interface=127.0.0.1"
        return f"{PROXIED * self.proxied}{SECURE}8443:interface=127.0.0.1"


def host_of(address: IAddress) -> str:
    """Return the host of an IPv4 or IPv6 address; empty for others, such as Unix sockets."""
    return str(getattr(address, "host", ""))


def show(address: IAddress) -> str:
    """
    Format an address: `127.0.0.1:8081`, `[::1]:8081`, or a path; `unix` for the other end of a
    Unix socket, which has none.
    """
    host, port = host_of(address), getattr(address, "port", None)
    if port is None:
        return os.fsdecode(getattr(address, "name", str(address)) or "unix")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host or "0.0.0.0")
    except ValueError:
        return False
    return True
