#!/usr/bin/env python3
"""
Chaos: a provider that trades wildly, followers at spoiled brokers, and kills of everything.

At the end the faults stop, and every account must hold what the provider holds: net volumes, and
by ticket where both accounts hedge. Prints one line a seed; the exit status is 1 when one differs.

    chaos.py [--seeds 12] [--first 1] [--seconds 45]
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from imitation.scene import Scene
from imitation.server import Server
from imitation.terminal import Terminal
from imitation.waiting import SPEED, within
from translator.compiler import Compiler

SETTLING = 180
"""
Seconds after the last fault in which the accounts must become equal: a market that said it was
closed is asked again after ten minutes, which are two here.
"""
PAUSE = 0.15
"""Seconds between two events, on average."""
DOWN = 1.5
"""Seconds that a killed process is away, at most."""
ROLES = {"provider": "provider", "one": "follower", "two": "follower", "three": "follower"}
LOGINS = {"one": 2001, "two": 2002, "three": 2003}
MANY = " ".join(f"SYM{number:02} {1 + number / 100}" for number in range(100))
PENDING = ("buy_limit", "sell_limit", "buy_stop", "sell_stop")


class Chaos:
    """One seed: its scene, and what happens in it."""

    def __init__(self, compiler: Compiler, folder: Path, seed: int):
        self.random = random.Random(seed)
        self.hedging = self.random.random() < 0.6
        self.symbols = {"SYMBOLS": MANY, "CHART": "SYM00"} if seed % 3 == 0 else {}
        self.suffix = self.random.choice(["", ".r", "m"])
        self.server = Server(folder / "server", accounts=ROLES).start()
        self.scene = Scene(compiler, self.server, folder, "main")
        self.provider = self.start_provider()
        self.followers = [self.start_follower(*each) for each in self.accounts()]
        self.names = self.find_names()
        self.happened: Counter[str] = Counter()

    def start_provider(self) -> Terminal:
        environ = (
            self.symbols
            | {"HEDGING": int(self.hedging), "InpForm": int(self.hedging)}
            | self.scene.logged_in("provider")
        )
        return self.scene.provider(**environ)

    def accounts(self) -> list[tuple[str, int, dict[str, object]]]:
        suffix = {"SUFFIX": self.suffix, "InpSuffix": self.suffix}
        if self.symbols and self.suffix:
            suffix["CHART"] = "SYM00" + self.suffix
        return [("one", 0, {}), ("two", 1, {}), ("three", int(self.hedging), suffix)]

    def start_follower(self, login: str, hedging: int, more: dict[str, object]) -> Terminal:
        environ = {"HEDGING": hedging, "LOGIN": LOGINS[login], "InpOrdersMinute": 0}
        environ |= self.symbols | more | self.scene.logged_in(login)
        return self.scene.follower(folder=login, **environ)

    def find_names(self) -> list[str]:
        if self.symbols:
            return self.symbols["SYMBOLS"].split()[::2]
        return ["EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "EURGBP", "USDCHF"]

    # What happens

    def run(self, seconds: float) -> None:
        events: list[tuple[int, Callable[[], None]]] = [
            (60, self.trade),
            (12, self.trade_by_ticket),
            (12, self.move_price),
            (25, self.spoil),
            (2, self.kill_terminal),
            (1, self.kill_server),
            (2, self.lose_broker),
            (1, self.hang_server),
        ]
        weights, actions = zip(*events, strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            action = self.random.choices(actions, weights)[0]
            self.happened[action.__name__] += 1
            action()
            time.sleep(self.random.uniform(0, 2 * PAUSE))

    def trade(self) -> None:
        lots = self.random.choice([0, 0, 0.1, 0.25, 0.5, 1, -0.1, -0.3, -1])
        self.provider.say(f"set {self.random.choice(self.names)} {lots}")

    def trade_by_ticket(self) -> None:
        name, lots = self.random.choice(self.names), self.random.choice([0.1, 0.2, 0.4])
        state = self.provider.state()
        choice = self.random.random()
        if choice < 0.3:
            self.provider.say(f"{self.random.choice(['buy', 'sell'])} {name} {lots}")
        elif choice < 0.5 and state["positions"]:
            one = self.random.choice(state["positions"])
            near, far = one["price"] * 0.9, one["price"] * 1.1
            stops = (near, far) if one["lots"] > 0 else (far, near)
            self.provider.say(f"modify #{one['ticket']} {stops[0]:.2f} {stops[1]:.2f}")
        elif choice < 0.7:
            kind = self.random.choice(PENDING)
            factor = 0.95 if kind in ("buy_limit", "sell_stop") else 1.05
            self.provider.say(f"pending {kind} {name} {lots} {self.price_of(name) * factor:.3f}")
        elif state["orders"]:
            self.provider.say(f"delete #{self.random.choice(state['orders'])['ticket']}")

    def price_of(self, name: str) -> float:
        prices = {"USDJPY": 150.0, "GBPUSD": 1.3, "AUDUSD": 0.66, "EURGBP": 0.85, "USDCHF": 0.9}
        if name.startswith("SYM"):
            return 1 + int(name[3:]) / 100
        return prices.get(name, 1.1)

    def move_price(self) -> None:
        name = self.random.choice(self.names)
        price = self.price_of(name) * self.random.uniform(0.99, 1.01)
        for each in (self.provider, *self.followers):
            suffix = each.environ.get("SUFFIX", "")
            each.say(f"price {name}{suffix} {price:.5f}")

    def spoil(self) -> None:
        late = self.random.choice([200, 2000, 8000])
        fault = self.random.choice(
            [
                *("retcode 10004", "retcode 10006", "retcode 10018", "retcode 10031"),
                *("partial 0.5", "quiet 0.5", "lost 0", "delay 1500"),
                *(f"placed {late}", f"placed_partial {late}", f"placed_rejected {late}"),
                f"timeout {late}",
            ]
        )
        self.happened[fault.split()[0]] += 1
        self.random.choice(self.followers).say(
            f"fault {fault} 1", f"lag {self.random.choice([0, 0, 800])}"
        )

    def kill_terminal(self) -> None:
        one = self.random.choice([self.provider, *self.followers])
        one.kill()
        time.sleep(self.random.uniform(0, DOWN))
        one.start(SYNC_MS=self.random.choice([0, 1000, 6000]))

    def kill_server(self) -> None:
        self.server.kill()
        time.sleep(self.random.uniform(0, DOWN))
        self.server.start()

    def lose_broker(self) -> None:
        one = self.random.choice([self.provider, *self.followers])
        one.say("connected 0")
        time.sleep(self.random.uniform(0, DOWN))
        one.say("connected 1")

    def hang_server(self) -> None:
        self.server.hang(self.random.uniform(0, 20 / SPEED))

    # What is left

    def settle(self) -> list[str]:
        """End the faults and wait; returns how the accounts differ."""
        for each in (self.provider, *self.followers):
            each.say("nofaults", "lag 0", "connected 1")
        within(lambda: not self.differences(), SETTLING)
        return self.differences()

    def differences(self) -> list[str]:
        wanted = self.provider.state()
        found = []
        for each in self.followers:
            have = each.state()
            for compare in (
                self.net,
                *((self.tickets, self.orders) if self.by_ticket(each) else ()),
            ):
                ours, theirs = compare(have, each), compare(wanted, self.provider)
                if ours != theirs:
                    missing, extra = theirs - ours, ours - theirs
                    found.append(f"{each.folder.name} {compare.__name__}: -{missing} +{extra}")
        return found

    def by_ticket(self, follower: Terminal) -> bool:
        return self.hedging and follower.environ["HEDGING"] == "1"

    @staticmethod
    def symbol(record: dict[str, Any], terminal: Terminal) -> str:
        return record["symbol"].removesuffix(terminal.environ.get("SUFFIX", ""))

    def net(self, state: dict[str, Any], terminal: Terminal) -> Counter[Any]:
        sums: Counter[str] = Counter()
        for each in state["positions"]:
            sums[self.symbol(each, terminal)] += round(each["lots"] * 1e5)
        return Counter({(symbol, lots): 1 for symbol, lots in sums.items() if lots})

    def tickets(self, state: dict[str, Any], terminal: Terminal) -> Counter[Any]:
        """Return lots by what a ticket shares with its copy, which may stand in parts."""
        sums: Counter[Any] = Counter()
        for each in state["positions"]:
            side = "buy" if each["lots"] > 0 else "sell"
            key = (self.symbol(each, terminal), side, each["sl"], each["tp"])
            sums[key] += round(abs(each["lots"]) * 1e5)
        return Counter({(*key, lots): 1 for key, lots in sums.items()})

    def orders(self, state: dict[str, Any], terminal: Terminal) -> Counter[Any]:
        return Counter(
            (self.symbol(each, terminal), each["type"], each["lots"], each["price"])
            for each in state["orders"]
            if each["type"] > 1
        )

    def end(self) -> None:
        try:
            self.scene.end()
        finally:
            self.server.end()


def run(compiler: Compiler, seed: int, seconds: float, keep: Path) -> bool:
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-", dir=keep))
    chaos = Chaos(compiler, folder, seed)
    try:
        chaos.run(seconds)
        start = time.monotonic()
        wrong = chaos.settle()
        took = time.monotonic() - start
        held = len(chaos.provider.state()["positions"])
        deals = [len(each.deals) for each in chaos.followers]
    finally:
        with (folder / "output.txt").open("w", encoding="utf-8") as output, redirect_stdout(output):
            chaos.end()
    mode = "hedging" if chaos.hedging else "netting"
    verdict = "; ".join(wrong) or f"equal after {took:.1f} s"
    print(f"seed {seed} {mode} positions {held} deals {deals} {dict(chaos.happened)}: {verdict}")
    if not wrong:
        shutil.rmtree(folder)
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    compiler = Compiler()
    good = [run(compiler, seed, options.seconds, options.keep) for seed in seeds]
    print(f"{sum(good)} of {len(good)} seeds end with equal accounts")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
