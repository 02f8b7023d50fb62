"""The port of a service in memory."""

from mtnet.testing import connect


class FakePort:
    """
    One service of an environment at one listener; terminals dial it.

    Args:
        listener: a `Listener`, which names the service.
        factory: another one than the service builds for it.
    """

    def __init__(self, env, listener, factory=None):
        self.env, self.clock = env, env.clock
        self.factory = factory or env.factory(listener.service, listener)

    def dial(self, **addresses):
        return connect(self.factory, self.clock, **addresses)

    def say(self, terminal, data, size=None):
        """Send bytes; return the answer."""
        terminal.send(data, size)
        self.clock.advance(0)
        return terminal.received()

    def ask(self, data, size=None, **addresses):
        """Send bytes on a connection of their own; return the answer."""
        return self.say(self.dial(**addresses), data, size)
