"""Service of a component that is off."""

from zope.interface import implementer

from mtnet.interfaces import IService


@implementer(IService)
class DisabledService:
    """Null object: a component that is off, of which there is nothing."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""
