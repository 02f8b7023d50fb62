"""The section `[web]`."""

from typing import Annotated

from msgspec import Meta

from mtnet.config.schema import Section

Origin = Annotated[str, Meta(pattern=r"^https?://[^/?#@\s]+$")]


class WebSettings(Section, frozen=True):
    """`[web]`."""

    hosts: tuple[str, ...] = ()
    """Host names that an HTTP request may name beside the bound address and localhost."""
    session: Annotated[float, Meta(ge=60, le=31_536_000)] = 2_592_000.0
    """Seconds after which a login of the page ends: 30 days."""
    sessions: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Logins of the page, of all accounts together; each takes some 500 bytes of memory."""
    origins: tuple[Origin, ...] = ()
    """Other origins whose pages may ask, such as `https://desk.example.com`: those of nobody, as
    each can use the rights that the browser's machine has here without a login."""
    label: Annotated[str, Meta(max_length=100)] = ""
    """What the page shows beside its name, such as `staging`; as text, to everybody."""
    metrics_open: bool = False
    """Whether `/metrics` is shown without the right `read:metrics`, to a Prometheus in the same
    network that cannot log in."""
