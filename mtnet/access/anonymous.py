"""Anonymous access: the rights of connections that have not logged in, by where they come from."""

from collections.abc import Iterable, Mapping

from mtnet.access.addresses import Network, is_loopback, parse_address, parse_network
from mtnet.access.rights import EVERYTHING, Permissions, Rights
from mtnet.errors import ConfigError


class AnonymousAccess:
    """
    Rights of connections without an account.

    A connection over the loopback interface has all rights, as long as that interface is
    trusted. Behind a proxy every connection seems to come from there, so none has them.

    Args:
        permissions: parses rights.
        anonymous: the rights of every connection; None = not configured.
        networks: the additional rights of addresses and networks.
        loopback: whether the loopback interface is trusted.

    Attributes:
        configured: whether the owner has decided on the rights of strangers.
        anonymous: the rights of every connection.

    Raises:
        ConfigError: a right or a network is invalid.
    """

    def __init__(
        self,
        permissions: Permissions,
        anonymous: Iterable[str] | None,
        networks: Mapping[str, Iterable[str]] | None = None,
        loopback: bool = True,
    ) -> None:
        self._permissions = permissions
        self.configured = anonymous is not None or bool(networks)
        self.loopback = loopback
        self.anonymous = _rights(permissions, "access.anonymous", anonymous or ())
        self._networks = [
            (
                _network(text),
                self.anonymous | _rights(permissions, f'access.networks."{text}"', rights),
            )
            for text, rights in (networks or {}).items()
        ]

    def rights(self, own: str, peer: str, proxied: bool) -> Rights:
        """
        Return the rights of a connection.

        Args:
            own: the address of our end.
            peer: the address of the other end.
            proxied: whether its listener is behind `haproxy:`.
        """
        return EVERYTHING if self.is_owner(own, proxied) else self.of_network(peer)

    def is_owner(self, own: str, proxied: bool) -> bool:
        """Return whether a connection comes from this machine, whose users are trusted."""
        return self.loopback and is_loopback(own) and not proxied

    def describe(self, verbs: Iterable[str], service: str) -> list[str]:
        """Return the rights of every connection as texts, as far as they concern a service."""
        if self._permissions.has_verbs(service):
            return self.anonymous.matching(verbs, service)
        return [text for verb in verbs for text in self._shown(verb)]

    def _shown(self, verb: str) -> list[str]:
        """Return the rights with a verb; the verb alone where all is allowed that it gives."""
        services = self._permissions.bare(verb)
        whole = services and all(self.anonymous.all(verb, each) for each in services)
        return [verb] if whole else self.anonymous.matching([verb])

    def of_network(self, peer: str) -> Rights:
        """Return the rights of an address that is not trusted."""
        found, address = self.anonymous, parse_address(peer) if self._networks else None
        for network, rights in self._networks:
            if address is not None and address in network:
                found = found | rights
        return found


def _rights(permissions: Permissions, where: str, texts: Iterable[str]) -> Rights:
    try:
        return permissions.rights(texts)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise ConfigError(f"access.networks: {error}.") from error
