"""A server with one channel, and the terminals that work with it."""

from pathlib import Path
from typing import Any

from translator.compiler import Compiler

from imitation.link import Link
from imitation.server import LOOPBACK, PASSWORD, Server
from imitation.terminal import Terminal
from imitation.waiting import until

ROOT = Path(__file__).parents[3]
TREE = ROOT / "mql5" / "MQL5"
EXPERTS = TREE / "Experts" / "Mtnet"
CLASSIC = ROOT / "tests" / "terminal" / "programs" / "classic"
"""Programs that speak as those of the article do."""
PROVIDER, FOLLOWER, CLASSIC_LOGIN = 1001, 2001, 4001
"""Logins of accounts."""


def source_of(name: str) -> Path:
    """Return the source of an expert."""
    return EXPERTS / f"{name}.mq5"


class Scene:
    """
    Starts experts that know server and channel, and ends them.

    Attributes:
        server: the daemon.
        channel: one of this scene's own, since scenes share a daemon.
        accounts: the folder of all accounts; a login is the same account in every terminal.
    """

    def __init__(self, compiler: Compiler, server: Server, folder: Path, channel: str):
        self.compiler, self.server, self.channel = compiler, server, channel
        self.folder, self.accounts = folder, folder / "accounts"
        self.accounts.mkdir()
        self.terminals: list[Terminal] = []
        self.links: list[Link] = []

    def terminal(self, expert: str, folder: str, **environ: object) -> Terminal:
        """Make a terminal that is not started yet."""
        inputs = {"InpHost": LOOPBACK, "InpPort": self.server.port, "InpChannel": self.channel}
        return self._terminal(source_of(expert), folder, **(inputs | environ))

    def _terminal(self, source: Path, folder: str, **environ: object) -> Terminal:
        program = self.compiler.program(source, [TREE / "Include"])
        common = {"ACCOUNTS": self.accounts, "COMMON": self.folder / "common"}
        made = Terminal(program, self.folder / folder, **(common | environ))
        self.terminals.append(made)
        return made

    def classic(self, name: str, port: int, **environ: object) -> Terminal:
        """Start a program of the article's kind in a terminal of its own."""
        source = CLASSIC / f"{name}.mq5"
        environ = {"Host": LOOPBACK, "Port": port, "LOGIN": CLASSIC_LOGIN} | environ
        return self._terminal(source, name, **environ).start()

    def provider(self, folder: str = "provider", **environ: Any) -> Terminal:
        environ = {"LOGIN": PROVIDER} | environ
        return self.terminal("MtnetProvider", folder, **environ).start()

    def follower(self, folder: str = "follower", **environ: Any) -> Terminal:
        environ = {"LOGIN": FOLLOWER, "InpTrade": "true", "InpMaxLots": 1000} | environ
        return self.terminal("MtnetFollower", folder, **environ).start()

    def logged_in(self, login: str) -> dict[str, object]:
        """Return the inputs of an expert that logs in with TLS."""
        return {
            "InpPort": self.server.tls_port,
            "InpTls": "true",
            "InpLogin": login,
            "InpPassword": PASSWORD,
            "CA": self.server.authority,
        }

    def link(self, buffer: int | None = None) -> Link:
        """Return a network to the server that can be hung and cut; `buffer` as of `Link`."""
        self.links.append(Link(self.server.port, buffer))
        return self.links[-1]

    def command(self, command: str) -> Any:
        """Pause, freeze, resume or flatten the channel."""
        return self.server.ask(f"signals {command}", channel=self.channel)

    def published(self, **lots: str) -> bool:
        """Return whether the channel holds these net volumes and nothing else."""
        return self.server.positions(self.channel) == lots

    @property
    def seq(self) -> int:
        """The number of the newest signal; 0 = there is none."""
        channels = self.server.ask("status")["signals"]["channels"]
        return int(channels[self.channel]["seq"]) if self.channel in channels else 0

    def acknowledged(self, symbol: str) -> list[str]:
        """Return what followers of the channel say that they hold of a symbol."""
        sessions = self.server.ask("status")["signals"]["sessions"]
        held = [each["channels"][self.channel]["held"] for each in sessions if self.follows(each)]
        return [each[symbol] for each in held if symbol in each]

    def follows(self, session: dict[str, Any]) -> bool:
        return self.channel in session["channels"]

    def copies(self, provider: Terminal, *followers: Terminal) -> bool:
        """Return whether each follower holds what the provider holds."""
        wanted = provider.net()
        return all(each.net() == wanted for each in followers)

    def settle(self, provider: Terminal, *followers: Terminal) -> None:
        """Wait until the followers hold what the provider holds."""
        until(lambda: self.copies(provider, *followers))

    def end(self) -> None:
        """End the terminals; fails when one was ended for an error or has leaked objects."""
        for each in self.terminals:
            if not each.ended:
                each.say("quit")
        for each in self.terminals:
            each.quit()
        for link in self.links:
            link.close()
        for each in self.terminals:
            print(f"--- {each.folder.name}", *each.said, each.journal(), sep="\n")
            assert not each.critical
            assert [line for line in each.said if line.startswith("leak ")] == []
