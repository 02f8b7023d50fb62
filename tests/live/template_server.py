"""
Serve one template, as mtnet does or as a plain server would: a process for the live tests.

Arguments: `mtnet` or `plain`, the address, the template file, a folder for data.
Prints the port once it listens.
"""

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from mtnet.interfaces import ITemplates
from mtnet.net.endpoints import BACKLOG
from mtnet.services.templates.wire import raw_prefix
from mtnet.testing import make_environment


class Plain(Protocol):
    """Sends everything at once and closes."""

    def connectionMade(self):
        prefix = raw_prefix("EURUSD", "H1", "mt5")
        self.transport.write(prefix + self.factory.template)
        self.transport.loseConnection()


def mtnet_factory(template, data):
    env = make_environment(data, reactor, "access.anonymous=fetch")
    env.find(ITemplates).library.store("EURUSD", "H1", template, env.now())
    return env.factory("templates")


def plain_factory(template, data):
    factory = Factory.forProtocol(Plain)
    factory.template = template
    return factory


def main(kind, host, template, data):
    build = {"mtnet": mtnet_factory, "plain": plain_factory}[kind]
    factory = build(Path(template).read_bytes(), Path(data))
    port = reactor.listenTCP(0, factory, BACKLOG, host)
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
