"""The shared port as a component of the daemon."""

from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.interfaces import IFirstBytes, IService, IStreamListener
from mtnet.net.endpoints import Listener
from mtnet.net.shared_port import Choice, SharedPortFactory


@implementer(IService, IStreamListener)
class SharedPort:
    """One port for every service whose connections can be told apart by their first bytes."""

    verbs = ("follow", "publish", "send", "read", "fetch")
    welcomes = True

    def __init__(self, env: Any) -> None:
        self._env = env

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a shared listener."""
        offers = self._env.find_all(IFirstBytes).values()
        choices, rest, silent = [], None, None
        for each in offers:
            if each.recognize(b""):
                rest = each.shared_factory(listener, False)
            else:
                choices.append(Choice(each.recognize, each.shared_factory(listener, False)))
            if each.silent:
                silent = each.shared_factory(listener, True)
        timeout = max(each.word for each in offers)
        return SharedPortFactory(
            self._env, listener, choices, rest=rest, silent=silent, timeout=timeout
        )
