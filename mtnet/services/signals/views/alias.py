"""The name `main` for a view: whose it is, and how it stands in all that one client is sent."""

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from mtnet.access.addresses import parse_address, parse_network
from mtnet.errors import WireError
from mtnet.services.signals.views.settings import ViewSettings

MAIN = "main"
"""The channel that a client follows when it names none."""


class Aliases(Struct, frozen=True):
    """
    The logins and networks for which `main` means a view, each with its name.

    Attributes:
        others: what `main` means for all others. That is another channel only where it is not
            known whom a damaged view was made for: nobody may copy another size by that.
    """

    accounts: dict[str, str] = {}
    networks: dict[str, str] = {}
    others: str = MAIN

    def given(self, view: str, settings: ViewSettings, views: Collection[str]) -> "Aliases":
        """
        Return these once a view has its settings.

        Args:
            views: the names of all, those that are damaged included.

        Raises:
            WireError: `field`; one of its accounts or networks has another view.
        """
        return replace(
            self,
            accounts=_given(self.accounts, view, settings.accounts, views),
            networks=_given(self.networks, view, settings.networks, views),
        )

    def channel(self, login: str, host: str) -> str:
        """Return what a connection means by `main`: by its login or, without one, its address."""
        if login or not self.networks:
            return self.accounts.get(login, self.others)
        address = parse_address(host)
        found = [
            (network.prefixlen, view)
            for network, view in (
                (parse_network(text), view) for text, view in self.networks.items()
            )
            if address is not None and address in network
        ]
        return max(found)[1] if found else self.others


def _given(
    known: Mapping[str, str], view: str, names: Collection[str], views: Collection[str]
) -> dict[str, str]:
    for name in names:
        other = known.get(name, view)
        if other != view and other in views:
            raise WireError("field", f"{name} has the view {other} already")
    others = {name: other for name, other in known.items() if other != view}
    return {**others, **dict.fromkeys(names, view)}


class ShownAsMain(Struct, frozen=True):
    """
    Encoder decorator: frames of a view name the channel `main`.

    Attributes:
        view: the name of the view.
        encoder: makes what is sent of the frames; None = they leave as they are.
    """

    view: str
    encoder: Callable[[bytes], bytes] | None

    def __call__(self, frames: bytes) -> bytes:
        """Return frames of the server as they are sent."""
        # No value holds these bytes: a bar within one is escaped.
        for end in (b"|", b">>"):
            own, shown = (b"|channel=%b%b" % (name.encode(), end) for name in (self.view, MAIN))
            frames = frames.replace(own, shown)
        return frames if self.encoder is None else self.encoder(frames)
