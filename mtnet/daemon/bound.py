"""A service on the port that it got, and what the daemon says about it."""

from dataclasses import dataclass

from twisted.internet.interfaces import IListeningPort

from mtnet.access.anonymous import AnonymousAccess, is_loopback
from mtnet.access.rights import VERBS
from mtnet.daemon.registry import Plugin
from mtnet.net.endpoints import Listener, host_of, show


@dataclass(frozen=True)
class Bound:
    """A listener and the port that it got."""

    plugin: Plugin
    listener: Listener
    port: IListeningPort

    def trial(self) -> str:
        """Return a command that speaks to it."""
        secure = self.listener.security == "TLS"
        if path := self.listener.path:
            return f"openssl s_client -quiet -unix {path}" if secure else f"nc -U {path}"
        host, port = host_of(self.port.getHost()), getattr(self.port.getHost(), "port", "")
        host = host if is_loopback(host) else "127.0.0.1"
        if secure:
            return f"openssl s_client -quiet -connect {host}:{port}"
        return f"nc {host} {port}"

    def report(self, rules: AnonymousAccess) -> dict[str, str]:
        """Return one row of the table that the daemon prints and `mtnet status` shows."""
        host, service = host_of(self.port.getHost()), self.listener.service
        known = service if any(service in each for each in VERBS.values()) else ""
        # A socket for datagrams on all addresses does not learn which one they came to.
        blind = self.listener.datagrams and not is_loopback(host)
        owner = rules.loopback and not self.listener.proxied and not blind
        strangers = ", ".join(rules.anonymous.matching(self.plugin.rights, known)) or "nothing"
        return {
            "service": service,
            "address": show(self.port.getHost()),
            "security": self.listener.security,
            "loopback": ", ".join(self.plugin.rights) if owner else strangers,
            "strangers": "" if is_loopback(host) and owner else strangers,
        }
