"""The section `[web]`."""

from mtnet.config.schema import Section


class WebSettings(Section, frozen=True):
    """`[web]`."""

    hosts: tuple[str, ...] = ()
    """Host names that an HTTP request may name beside the bound address and localhost."""
