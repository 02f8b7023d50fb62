"""Those who ask for signals by HTTP."""

from fakes.http import HttpPort, request

from mtnet.interfaces import ISignals


class Web(HttpPort):
    """The web port, with the requests of signals."""

    @property
    def signals(self):
        return self.env.find(ISignals)

    def post(self, *signals, publisher="p1", channel="main", **more):
        body = {"publisher": publisher, "signals": [*signals], **more}
        return self.ask("POST", f"/v1/channels/{channel}/signals", body)

    def put(self, n, *positions, publisher="p1", channel="main", **more):
        body = {"publisher": publisher, "n": n, "positions": [*positions], **more}
        return self.ask("PUT", f"/v1/channels/{channel}/positions", body)

    def read(self, query="", channel="main", **more):
        return self.ask("GET", f"/v1/channels/{channel}/signals{query}", **more)

    def held(self, channel="main"):
        """Return what a channel holds: volumes by symbol, and ticket if there is one."""
        found = self.ask("GET", f"/v1/channels/{channel}").json["positions"]
        return {each["symbol"] + each.get("ticket", ""): each["volume"] for each in found}

    def epoch(self, channel="main"):
        return self.signals.channel(channel).epoch

    def behind(self, after, more=""):
        """Return the query for what is behind an entry."""
        return f"?epoch={self.epoch()}&after={after}{more}"

    def wait(self, query, channel="main"):
        """Ask, and do not wait for the answer; return the terminal."""
        terminal = self.dial()
        terminal.clock = self.clock
        terminal.send(request("GET", f"/v1/channels/{channel}/signals{query}"))
        self.clock.advance(0)
        return terminal

    def pause(self, name, channel="main"):
        return self.ask("POST", f"/v1/channels/{channel}/{name}", {"confirm": channel})


def signal(id, symbol="EURUSD", volume="1", **more):
    return {"id": id, "symbol": symbol, "volume": volume, **more}


def at(symbol, volume="1", **more):
    return {"symbol": symbol, "volume": volume, **more}
