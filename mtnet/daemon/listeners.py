"""Binds the components to their endpoints, each below the connection pipeline."""

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import maybeDeferred

from mtnet.daemon.components import Components
from mtnet.daemon.environment import Environment
from mtnet.daemon.ports import BoundListener, bind
from mtnet.daemon.preflight import check_exposure
from mtnet.daemon.status import ListenerTable
from mtnet.net.endpoints import Listener, host_of
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import CertificateStore


class Listeners:
    """
    Every bound port of the daemon.

    Args:
        env: the daemon's own view.
        certificates: of `secure:` endpoints; None = there are none.

    Attributes:
        table: the listeners as they are shown.
    """

    def __init__(
        self, env: Environment, components: Components, certificates: CertificateStore | None
    ) -> None:
        self._env, self._components, self._certificates = env, components, certificates
        self._pipeline = Pipeline(env, certificates)
        self._bound: list[BoundListener] = []
        self.table = ListenerTable(self._bound, env.access.anonymous)

    def bind(self, listeners: Iterable[Listener]) -> None:
        """
        Listen on every endpoint.

        Raises:
            StartError: an endpoint does not work.
            ConfigError: strangers could connect, and nothing says what they may do.
        """
        access = self._env.access
        for listener in listeners:
            bound = bind(listener, self._components, self._pipeline, self._env.clock)
            self._bound.append(bound)
            host = host_of(bound.port.getHost())
            check_exposure(access.anonymous, not access.accounts.empty, listener, host)

    @property
    def services(self) -> set[str]:
        """The names of the components that listen."""
        return {bound.listener.service for bound in self._bound}

    def tls_status(self) -> dict[str, Any]:
        """Return the status of TLS; empty = nothing speaks it."""
        if not any(bound.listener.security == "TLS" for bound in self._bound):
            return {}
        served = self._certificates.status() if self._certificates else []
        return {"tls": {"handshakes": self._pipeline.handshakes.status(), "certificates": served}}

    async def stop(self) -> None:
        """Take no more connections."""
        for bound in self._bound:
            await maybeDeferred(bound.port.stopListening)
