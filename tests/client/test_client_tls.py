"""TLS of a client, in memory: whom it believes, how it ends, and who it says it is."""

import pytest
from fakes.servers import Outcome
from fakes.transports import MemoryEndpoint
from tls_dialling import (
    Builds,
    Creator,
    Dialled,
    Said,
    bare_context,
    mtnet_server,
    self_signed,
)
from tls_samples import Authority, key_pem, pem
from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IHandshakeListener,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.client import Templates, why
from mtnet.client.tls import SecureEndpoint

# Who is believed


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["localhost"], "localhost"),
        (["LOCALHOST"], "localhost"),
        (["localhost"], "LocalHost"),
        (["*.example.com"], "fx.example.com"),
        (["xn--bcher-kva.example"], "bücher.example"),
        (["127.0.0.1"], "127.0.0.1"),
        (["::1"], "::1"),
        (["::1"], "0:0:0:0:0:0:0:1"),
        (["a.example", "b.example", "10.0.0.7"], "10.0.0.7"),
    ],
)
def test_a_server_is_believed_whose_certificate_has_the_name(dial, authority, hosts, name):
    dialled = dial(*authority.issue(*hosts), name=name)
    assert dialled.error is None
    assert dialled.factory.built == [dialled.protocol]
    assert dialled.protocol.heard == b"hello"
    dialled.protocol.transport.loseConnection()
    dialled.assert_clean()


def test_a_certificate_behind_an_intermediate_is_believed(dial):
    root = Authority("root")
    middle = Authority("middle", root)
    dialled = dial(*middle.issue("localhost"), middle.certificate, trusted=root)
    assert dialled.error is None


def test_a_self_signed_certificate_is_believed_once_it_is_trusted_itself(dial):
    class Itself:
        certificate, key = self_signed("localhost")

    assert dial(Itself.certificate, Itself.key, trusted=Itself).error is None


def test_the_protocol_is_built_behind_the_handshake_and_knows_its_transport(clock, authority):
    built_at = []

    @implementer(IHandshakeListener)
    class Listens(Said):
        shaken = False

        def connectionMade(self):
            built_at.append(ISSLTransport.providedBy(self.transport))

        def handshakeCompleted(self):
            self.shaken = True

    context = bare_context(*authority.issue("localhost"))
    server = TLSMemoryBIOFactory(Creator(context), False, Builds(), clock)
    line, factory = MemoryEndpoint(server, clock), Builds(make=Listens)
    endpoint = SecureEndpoint(line, "localhost", clock, [authority.certificate])
    endpoint.connect(factory)
    for _ in range(2):
        assert factory.built == []
        clock.advance(0)
        line.connection.turn()
    line.settle()
    assert built_at == [True]
    assert factory.built[0].shaken
    assert not clock.getDelayedCalls()


def test_what_is_written_goes_out_and_what_is_said_with_the_handshake_is_heard(clock, authority):
    server = Builds()
    context = bare_context(*authority.issue("localhost"))
    behind = TLSMemoryBIOFactory(Creator(context), False, server, clock)
    dialled = Dialled(clock, behind, "localhost", [authority.certificate], client=Builds(b"hi"))
    assert server.built[0].heard == b"hi"
    dialled.protocol.transport.write(b" there")
    dialled.line.settle()
    assert server.built[0].heard == b"hi there"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fx.example", b"fx.example"),
        ("bücher.example", b"xn--bcher-kva.example"),
        ("10.0.0.7", None),
        ("::1", None),
    ],
)
def test_the_server_is_told_the_name_unless_it_is_an_address(clock, authority, name, told):
    creator = Creator(bare_context(*authority.issue("localhost")))
    Dialled(clock, TLSMemoryBIOFactory(creator, False, Builds(), clock), name)
    assert creator.names == [told]


def test_the_server_of_mtnet_is_believed(clock, authority):
    dialled = Dialled(clock, mtnet_server(clock, authority), trusted=[authority.certificate])
    assert dialled.protocol.heard == b"hello"
    dialled.line.connection.server.protocol.loseConnection()
    dialled.assert_clean()


# Cancelling


@implementer(IStreamClientEndpoint)
class Never:
    """An endpoint that never connects."""

    def __init__(self):
        self.cancelled = False

    def connect(self, factory):
        return Deferred(lambda _: setattr(self, "cancelled", True))


def test_cancelling_while_there_is_no_connection_cancels_that(clock):
    below, errors = Never(), []
    attempt = SecureEndpoint(below, "localhost", clock).connect(Builds())
    attempt.addErrback(errors.append)
    attempt.cancel()
    assert below.cancelled
    assert errors[0].check(CancelledError)
    assert not clock.getDelayedCalls()


def test_cancelling_during_the_handshake_ends_the_connection(clock):
    dialled = Dialled(clock, Builds())
    dialled.attempt.cancel()
    assert isinstance(dialled.error, CancelledError)
    assert dialled.factory.built == []
    dialled.assert_clean()


def test_cancelling_behind_the_handshake_changes_nothing(dial, authority):
    dialled = dial(*authority.issue("localhost"))
    dialled.attempt.cancel()
    dialled.line.settle()
    assert dialled.line.connection.client.connected


# The client's own factory


class Refuses(Builds):
    def buildProtocol(self, addr):
        return None


class Raises(Builds):
    def buildProtocol(self, addr):
        raise RuntimeError("No protocol today.")


class Broken(Said):
    def connectionMade(self):
        raise RuntimeError("No connection today.")


def test_a_client_that_takes_no_connection_closes_it(dial, authority):
    dialled = dial(*authority.issue("localhost"), client=Refuses())
    assert dialled.sentence == "the client takes no connection"


@pytest.mark.parametrize("client", [Raises(), Builds(make=Broken)])
def test_a_client_that_fails_learns_why_and_leaves_no_connection(dial, authority, client):
    dialled = dial(*authority.issue("localhost"), client=client)
    assert isinstance(dialled.error, RuntimeError)
    dialled.assert_clean()


def test_the_factory_is_started_and_stopped_with_each_connection(dial, authority):
    dialled = dial(*authority.issue("localhost"))
    assert dialled.factory.running == 1
    dialled.line.connection.cut()
    assert isinstance(dialled.protocol.lost, ConnectionLost)
    dialled.assert_clean()


# How it ends


def test_closing_ends_even_when_the_server_answers_nothing_more(dial, authority):
    dialled = dial(*authority.issue("localhost"))
    dialled.line.connection.server.paused = True
    dialled.protocol.transport.loseConnection()
    for _ in range(20):
        clock = dialled.clock
        clock.advance(1)
        dialled.line.settle()
    assert dialled.protocol.lost is not None
    dialled.assert_clean()


def test_closing_sends_what_was_written(clock, authority):
    server = Builds()
    context = bare_context(*authority.issue("localhost"))
    behind = TLSMemoryBIOFactory(Creator(context), False, server, clock)
    dialled = Dialled(clock, behind, "localhost", [authority.certificate])
    dialled.protocol.transport.write(b"x" * 300_000)
    dialled.protocol.transport.loseConnection()
    dialled.line.settle()
    assert len(server.built[0].heard) == 300_000
    dialled.assert_clean()


def test_a_service_connects_again_behind_a_cut_and_behind_a_refusal(clock, authority):
    good = bare_context(*authority.issue("localhost"))
    bad = bare_context(*authority.issue("fx.example"))
    creator, factory = Creator(good), Builds()
    line = MemoryEndpoint(TLSMemoryBIOFactory(creator, False, Builds(b"hello"), clock), clock)
    endpoint = SecureEndpoint(line, "localhost", clock, [authority.certificate])
    service = ClientService(endpoint, factory, retryPolicy=lambda _: 1, clock=clock)
    service.startService()
    line.settle()
    assert len(factory.built) == 1
    creator.context = bad
    line.connection.cut()
    clock.advance(1)
    line.settle()
    assert (len(line.connections), len(factory.built)) == (2, 1)
    creator.context = good
    clock.advance(1)
    line.settle()
    assert (len(line.connections), len(factory.built)) == (3, 2)
    assert factory.built[1].heard == b"hello"
    ended = []
    service.stopService().addCallback(ended.append)
    line.settle()
    assert ended == [None]
    assert not clock.getDelayedCalls()
    assert (factory.running, line.running) == (0, 0)


def test_a_service_that_is_stopped_during_the_handshake_ends(clock):
    line = MemoryEndpoint(Builds(), clock)
    endpoint = SecureEndpoint(line, "localhost", clock)
    service = ClientService(endpoint, Builds(), clock=clock)
    service.startService()
    line.settle()
    ended = []
    service.stopService().addCallback(ended.append)
    line.settle()
    assert ended == [None]
    assert not clock.getDelayedCalls()


# Who the client is


def own_certificate(folder, *chain, key):
    path = folder / "me.pem"
    path.write_bytes(pem(*chain) + key_pem(key))
    return path


def server_for(clock, authority, clients):
    return mtnet_server(clock, authority, "required", [clients.certificate])


def dial_with(clock, server, authority, tmp_path, *chain, key):
    from mtnet.client.core.address import Address
    from mtnet.client.endpoints import _own

    own = _own(Address("", "", 1, certificate=own_certificate(tmp_path, *chain, key=key)))
    return Dialled(clock, server, "localhost", [authority.certificate], own=own)


def test_a_client_with_a_certificate_is_let_in(clock, authority, tmp_path):
    clients = Authority("clients")
    certificate, key = clients.issue("terminal", usage="client")
    server = server_for(clock, authority, clients)
    dialled = dial_with(clock, server, authority, tmp_path, certificate, key=key)
    assert dialled.protocol.heard == b"hello"


def test_a_client_shows_the_issuers_of_its_certificate(clock, authority, tmp_path):
    clients = Authority("clients")
    harness = Authority("office", clients)
    certificate, key = harness.issue("terminal", usage="client")
    server = server_for(clock, authority, clients)
    chain = [certificate, harness.certificate]
    dialled = dial_with(clock, server, authority, tmp_path, *chain, key=key)
    assert dialled.protocol is not None
    assert dialled.protocol.heard == b"hello"


def test_a_client_without_a_certificate_learns_that_one_is_asked_for(clock, authority):
    server = server_for(clock, authority, Authority("clients"))
    dialled = Dialled(clock, server, trusted=[authority.certificate])
    error = dialled.error or dialled.protocol.lost
    assert why(error) == "the server asks for a certificate of the client"


def test_templates_learn_that_a_certificate_is_asked_for(clock, authority):
    line = MemoryEndpoint(server_for(clock, authority, Authority("clients")), clock)
    endpoint = SecureEndpoint(line, "localhost", clock, [authority.certificate])
    outcome = Outcome(Templates(endpoint, clock).list())
    line.settle()
    assert outcome.sentence == ("No connection: the server asks for a certificate of the client.")
    assert not clock.getDelayedCalls()


def test_a_client_with_a_certificate_of_somebody_else_is_not_let_in(clock, authority, tmp_path):
    certificate, key = Authority("clients").issue("terminal", usage="client")
    server = server_for(clock, authority, Authority("others"))
    dialled = dial_with(clock, server, authority, tmp_path, certificate, key=key)
    assert why(dialled.error or dialled.protocol.lost).startswith("TLS: ")
    assert dialled.protocol is None or dialled.protocol.heard == b""


def test_it_is_an_endpoint(clock):
    verifyObject(IStreamClientEndpoint, SecureEndpoint(Never(), "localhost", clock))
