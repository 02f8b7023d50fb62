"""Some people with accounts, and a daemon that knows them."""

from base64 import b64encode

from fakes.rights import rights, rights_of

from mtnet.access.accounts.model import Account, Accounts, Directory, Token, digest, new_secret
from mtnet.access.accounts.passwords import hasher
from mtnet.net.endpoints import Listener
from mtnet.session import messages
from mtnet.testing import connect, make_environment

PASSWORD = "correct horse"
HASH = hasher().hash(PASSWORD)
TOKEN = new_secret()
GRANTS = {
    "alice": ("provider",),
    "bob": ("follow:signals/gold", "fetch:templates/EURUSD", "send:ticks/EUR*", "read:ticks/EUR*"),
    "carol": ("certificate:dns:carol.example", "follower"),
}
LOCAL, REMOTE = {"peer": "127.9.9.9"}, {"host": "192.0.2.1", "peer": "192.0.2.9"}
"""Somebody on the way to whom nobody can listen, and somebody on the way to whom everybody can."""


def account(name, grants, **more):
    more = {"disabled": False, "created": 1, "changed": 1, **more}
    return Account(name, tuple(grants), rights_of(grants), **more)


def directory(grants=GRANTS, tokens=(), **changes):
    people = [account(name, said, password=HASH) for name, said in grants.items()]
    people = [changes.get(each.name, each) for each in people]
    token = Token("0a1b2c3d", "bob", "", digest(TOKEN), ("follow",), rights("follow"), 1, None)
    return Directory.of(people, [token, *tokens] if "bob" in grants else tokens)


def hello(name, password=PASSWORD):
    return messages.hello(login=name, password=password)


def basic(name, password=PASSWORD):
    return b"Basic " + b64encode(f"{name}:{password}".encode())


class Watcher:
    """Who is there by an account, and does something when that counts no more."""

    def __init__(self, evict, gain=lambda former, rights: None):
        self.evict, self.gain = evict, gain


class FakeDaemon:
    """A daemon without a reactor, on which nobody may do anything without a login."""

    def __init__(self, folder, clock, *sets, grants=GRANTS):
        sets = ("access.trust_loopback=false", "templates.grace=0.1", *sets)
        self.accounts = Accounts(directory(grants))
        self.clock = clock
        self.env = make_environment(folder, clock, *sets, accounts=self.accounts)

    @property
    def hasher(self):
        """The thread that hashes the passwords of unknown networks, and its queue."""
        return self.env.access.authenticator.unknown

    def factory(self, service, endpoint="tcp:1"):
        return self.env.factory(service, Listener(service, endpoint))

    def dial(self, service, endpoint="tcp:1", **addresses):
        return connect(self.factory(service, endpoint), self.clock, **(addresses or LOCAL))

    def say(self, terminal, data):
        terminal.send(data)
        self.clock.advance(0)
        return terminal.received()

    def ask(self, service, data, **addresses):
        return self.say(self.dial(service, **addresses), data)

    def change(self, name, **changes):
        """Let the accounts be as if somebody had changed one."""
        self.accounts.replace(directory(**{name: account(name, **changes)}))
