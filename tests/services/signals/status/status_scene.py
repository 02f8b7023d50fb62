"""A daemon with a provider and a follower, by real sessions, and what the status says of them."""

from fakes.daemon import PASSWORD, FakeDaemon
from signals_peers import frame

from mtnet.interfaces import IControlCommands, IHealth, IParticipants, ISignals
from mtnet.services.signals.reports import wire as reports
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.status.participants import LIFETIME
from mtnet.services.signals.wire import requests
from mtnet.session import messages

GRANTS = {
    "alice": ("provider",),
    "bob": ("follower",),
    "erin": ("watcher",),
    "root": ("admin",),
}


class Scene(FakeDaemon):
    """A provider alice, a follower bob, and the channel gold."""

    def __init__(self, folder, clock, *sets):
        super().__init__(folder, clock, *sets, grants=GRANTS)
        self.folder, self.ids = folder, 0

    @property
    def component(self):
        return self.env.components.services["signals"]

    @property
    def signals(self):
        return self.env.find(ISignals)

    def greet(self, login, name="desk", client=""):
        terminal = self.dial("signals")
        hello = messages.hello(login=login, password=PASSWORD, name=name, client=client)
        assert self.say(terminal, hello).startswith(b"<<WELCOME")
        return terminal

    def provide(self, **hello):
        provider = self.greet("alice", **hello)
        self.publish(provider)
        return provider

    def publish(self, provider, volume="1", symbol="EURUSD", **fields):
        self.ids += 1
        fields = {"channel": "gold", "symbol": symbol, "volume": volume, **fields}
        answer = self.say(provider, frame("PUBLISH", id=f"s{self.ids}", **fields))
        assert b"STORED" in answer, answer

    def follow(self, channel="gold", login="bob", asked=None, **hello):
        follower = self.greet(login, **hello)
        self.say(follower, requests.subscribe(channel, **(asked or {})))
        return follower

    def acknowledge(self, follower, seq, **fields):
        self.say(follower, frame("ACK", channel="gold", seq=seq, **fields))

    def report(self, terminal, **said):
        fields = {"trading": True, "account": "1", "server": "Broker", **said}
        self.say(terminal, reports.report(Report(**fields)))

    def rest(self, seconds, *terminals):
        """Let time pass in which these terminals give signs of life, and report."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            for each in terminals:
                self.say(each, messages.ping())

    def everybody(self):
        """Return the rows of all channels."""
        return [each.row() for each in IParticipants(self.component).participants()]

    def rows(self, role="follower"):
        self.clock.advance(LIFETIME)
        return [row for row in self.everybody() if row["role"] == role and row["channel"] == "gold"]

    def codes(self, role="follower"):
        return {row["who"]: [each["code"] for each in row["warnings"]] for row in self.rows(role)}

    def report_all(self, _=None):
        """Return what `mtnet status` and `mtnet signals status` ask the daemon for."""
        return {**self.env.find(IHealth).health(), **self.env.components.status()}

    def make_view(self, *sources, **settings):
        """Add the view `half` by the command of the control socket."""
        for source in sources[1:]:
            publisher = self.greet("alice", source)
            self.publish(publisher, channel=source)
            publisher.hang_up()
        add = IControlCommands(self.component).commands()["views add"]
        add({"view": "half", "settings": {"sources": list(sources), **settings}})
        self.clock.advance(0)
