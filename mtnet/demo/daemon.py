"""The daemon of the demonstration, and the endpoints of its services."""

from contextlib import closing
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from mtnet.access.accounts.passwords import hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.client import server_from_string
from mtnet.clock import system_time
from mtnet.daemon.configuration import load
from mtnet.daemon.datadir import ACCOUNTS
from mtnet.daemon.registry import permissions
from mtnet.errors import StartError
from mtnet.net.tls.authority import CA, make
from mtnet.service import Daemon

HOST, NAME = "127.0.0.1", "localhost"
"""The address of every listener, and the name in the certificate."""
LISTENS = (
    *(f"{name}=tcp:0:interface={HOST}" for name in ("signals", "templates", "ticks", "web")),
    *(f"{name}=secure:0:interface={HOST}" for name in ("signals", "templates")),
    f"ticks=udp:0:interface={HOST}",
)
SETS = (
    "reserve=0",
    *(f"access.connections.{name}.total=200" for name in ("signals", "templates", "ticks", "web")),
    "signals.pace=0",
    "ticks.receive_buffer=212992",
    "web.label=demo: simulated prices, no real trades",
)
"""The followers here read at once, and need no pause between two positions as terminals do;
every kernel grants this buffer, and every machine descriptors for so few connections."""
ADMIN = "admin"
"""The account that may do everything; its role has the same name."""
PEOPLE = {"alice": "provider", "bob": "follower", "carol": "follower", ADMIN: ADMIN}
"""Accounts by name, with their roles."""


class DemoDaemon:
    """
    A running daemon with a certificate and accounts of its own, on ports that the kernel picks.

    Args:
        data: its data folder, which is empty or does not exist yet.

    Attributes:
        password: of every account, drawn anew.

    Raises:
        StartError: the folder is not empty, or the daemon cannot start on this machine.
    """

    def __init__(self, reactor: Any, data: Path) -> None:
        self._reactor, self.data, self.ca = reactor, data, data / "tls" / CA
        try:
            if data.exists() and any(data.iterdir()):
                raise StartError(f"{data} is not empty; the demonstration takes a new folder.")
            make(data / "tls", [NAME, HOST], NAME, system_time())
            self.password = token_urlsafe(9)
            _add_accounts(data, self.password)
        except OSError as error:
            raise StartError(f"The folder {data} cannot be used: {error.strerror}.") from error
        self.service = Daemon(load(data=str(data), sets=SETS, listens=LISTENS), reactor)
        self.service.startService()

    def port(self, service: str, security: str = "plain") -> int:
        """Return the port of a listener: `plain`, `TLS` or `plain UDP`."""
        rows: Any = self.service.status()["services"]
        wanted = (service, security)
        row = next(row for row in rows if (row["service"], row["security"]) == wanted)
        return int(row["address"].rpartition(":")[2])

    @property
    def page(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port('web')}/"

    def plain(self, service: str) -> IStreamClientEndpoint:
        """Return the endpoint without TLS."""
        return TCP4ClientEndpoint(self._reactor, HOST, self.port(service))

    def secure(self, service: str) -> IStreamClientEndpoint:
        """Return the endpoint with TLS, which trusts the authority of this daemon alone."""
        text = f"secure:{HOST}:{self.port(service, 'TLS')}:name={NAME}"
        return server_from_string(self._reactor, text, self.ca)

    def stored_ticks(self) -> int:
        """Return how many ticks are on disk."""
        ticks: Any = self.service.health()["ticks"]
        stored: int = ticks["stored"]
        return stored


def _add_accounts(data: Path, password: str) -> None:
    with closing(AccountStore(data / ACCOUNTS, permissions())) as store:
        for name, role in PEOPLE.items():
            store.add(name, [role], hash_password(password), system_time())
