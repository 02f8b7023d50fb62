"""The section `[web]`."""

from typing import Annotated

from msgspec import Meta

from mtnet.config.schema import Section

Origin = Annotated[str, Meta(pattern=r"^https?://[^/?#@\s]+$")]


class WebSettings(Section, frozen=True):
    """`[web]`."""

    hosts: tuple[str, ...] = ()
    """Host names that an HTTP request may name beside the bound address and localhost."""
    origins: tuple[Origin, ...] = ()
    """Other origins whose pages may ask, such as `https://desk.example.com`: those of nobody, as
    each can use the rights that the browser's machine has here without a login."""
    metrics_open: bool = False
    """Whether `/metrics` is shown without the right `read:metrics`, to a Prometheus in the same
    network that cannot log in."""
