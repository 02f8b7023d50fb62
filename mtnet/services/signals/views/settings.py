"""The section `[signals.views.NAME]`."""

import re
from datetime import datetime, time
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct, field

from mtnet.access.accounts.model import check_name
from mtnet.access.addresses import parse_network
from mtnet.config.schema import Section
from mtnet.errors import AccountError
from mtnet.values import read_price

ChannelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
ViewMode = Literal["on", "close_only", "frozen", "monitor"]
Sizing = Literal["multiplier", "fixed", "balance", "equity", "free_margin", "risk"]
MONEY: frozenset[Sizing] = frozenset({"balance", "equity", "free_margin", "risk"})
"""The sizes that need the follower's REPORT."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MAX_NAME = 32
"""Characters of a symbol."""

_HOURS = re.compile(
    r"(?P<first>[A-Z][a-z]{2})(-(?P<last>[A-Z][a-z]{2}))? "
    r"(?P<begin>[0-2][0-9]:[0-5][0-9])-(?P<end>[0-2][0-9]:[0-5][0-9])",
    re.ASCII,
)
_LIMIT = re.compile(r"(?P<number>[0-9]{1,12}(\.[0-9]{1,5})?)(?P<percent>%)?", re.ASCII)
_NAME = re.compile(r"[^/]{1,100}")


class Hours(Struct, frozen=True):
    """
    Some hours of some days; `end` before `begin` is on the next day.

    Attributes:
        days: 0 = Monday.
    """

    days: frozenset[int]
    begin: time
    end: time

    @classmethod
    def read(cls, text: str) -> "Hours":
        """
        Read `Mon-Fri 07:00-20:00`.

        Raises:
            ValueError: it is something else.
        """
        found = _HOURS.fullmatch(text)
        names = () if found is None else (found["first"], found["last"] or found["first"])
        if found is None or not set(names) <= set(WEEKDAYS):
            raise ValueError(f"`hours` are as 'Mon-Fri 07:00-20:00', not {text!r}")
        first, last = map(WEEKDAYS.index, names)
        days = frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))
        end = "00:00" if found["end"] == "24:00" else found["end"]
        return cls(days, time.fromisoformat(found["begin"]), time.fromisoformat(end))

    def has(self, moment: datetime) -> bool:
        """Return whether a local time lies within."""
        day, now = moment.weekday(), moment.time()
        if self.begin < self.end:
            return day in self.days and self.begin <= now < self.end
        return (day in self.days and now >= self.begin) or (
            (day - 1) % 7 in self.days and now < self.end
        )


class Limit(Struct, frozen=True):
    """A loss that is not exceeded: money, or a part of a base."""

    amount: Decimal
    percent: bool

    @classmethod
    def read(cls, text: str) -> "Limit":
        """
        Read `8%` or `500`.

        Raises:
            ValueError: it is something else, or 0.
        """
        found = _LIMIT.fullmatch(text)
        if found is None or not Decimal(found["number"]):
            raise ValueError(f"a limit is as '8%' or '500' above 0, not {text!r}")
        return cls(Decimal(found["number"]), found["percent"] is not None)

    def of(self, base: Decimal) -> Decimal:
        """Return the money that may be lost of a base."""
        return base * self.amount / 100 if self.percent else self.amount


class ViewSettings(Section, frozen=True):
    """`[signals.views.NAME]`: what is copied of other channels, and how large."""

    sources: tuple[ChannelName, ...]
    """The channels; none of them is a view."""
    mode: ViewMode = "on"
    """`monitor` computes and shows, and writes nothing."""
    symbols: tuple[str, ...] = ()
    """The source's symbols that are copied; empty = all."""
    exclude: tuple[str, ...] = ()
    magic: tuple[str, ...] = ()
    """The magic numbers that are copied; empty = all."""
    side: Literal["", "buy", "sell"] = ""
    """The source's side; empty = both."""
    pending: bool = True
    """Whether orders that wait are copied."""
    size: Sizing = "multiplier"
    value: Decimal = Decimal(1)
    """A factor, of `fixed` lots, of `risk` percent of the equity."""
    contract: bool = False
    """Whether the contract sizes of both brokers count."""
    reverse: bool = False
    stops: Literal["copy", "none"] = "copy"
    map: dict[str, str] = field(default_factory=dict)
    prefix: str = ""
    suffix: str = ""
    min: Decimal | None = None
    max: Decimal | None = None
    step: Decimal | None = None
    """Lots; None = those of the follower's broker, where it told them."""
    force_min: bool = False
    max_symbol: Decimal | None = None
    max_total: Decimal | None = None
    """Lots of a symbol, and of the whole view, both sides and orders added."""
    max_k: Decimal = Decimal(10)
    """The largest ratio of the view's lots to the provider's; a ratio of money can be a slip."""
    late_join: Literal["skip", "open"] = "skip"
    hours: tuple[str, ...] = ()
    """When positions are opened, such as `Mon-Fri 07:00-20:00`; empty = always."""
    zone: str = "UTC"
    follower: str = ""
    """`LOGIN` or `LOGIN/NAME` of the terminal whose REPORT and SPEC count."""
    provider: str = ""
    accounts: tuple[str, ...] = ()
    """The logins for which `main` means this view."""
    networks: tuple[str, ...] = ()
    """The networks for which it does where a connection has no login, as `192.168.7.0/24`."""
    rate: Decimal | None = None
    """Units of the follower's currency for one of the provider's, where they differ."""
    max_drawdown: str = ""
    daily_loss: str = ""
    then: Literal["close_only", "flatten"] = "close_only"
    max_age: Annotated[float, Meta(gt=0, lt=100_000_000)] | None = None
    """Seconds since its opening after which the follower does not open."""
    max_slippage: Decimal | None = None
    """Price units from the provider's price beyond which the follower does not open."""

    def __post_init__(self) -> None:
        if not self.sources or len(set(self.sources)) < len(self.sources):
            raise ValueError("`sources` name one or more channels, each once")
        for key in ("value", "min", "max", "step", "max_symbol", "max_total", "max_k", "rate",
                    "max_slippage"):  # fmt: skip
            number = getattr(self, key)
            if number is not None and not (number.is_finite() and number > 0):
                raise ValueError(f"`{key}` is above 0, not {number}")
        if self.max_slippage is not None and read_price(f"{self.max_slippage:f}") is None:
            raise ValueError(f"`max_slippage` is as a price, not {self.max_slippage}")
        self._check_lots()
        self._check_symbols()
        self._check_money()
        for text in self.hours:
            Hours.read(text)
        for text in self.networks:
            if str(parse_network(text)) != text:
                raise ValueError(f"`networks` are as {parse_network(text)}, not {text!r}")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`zone` is a name as Europe/Athens, not {self.zone!r}") from None

    def _check_lots(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is at most `max`")
        for lots in filter(None, (self.min, self.max, self.step)):
            if lots % Decimal("0.00001"):
                raise ValueError(f"lots have 5 decimals at most, not {lots}")
        if self.min and self.step and self.min % self.step:
            raise ValueError("`min` is a multiple of `step`")
        if self.force_min and self.min is None and not self.follower:
            raise ValueError("`force_min` needs `min`, or a `follower` that tells it")

    def _check_symbols(self) -> None:
        targets = list(self.map.values())
        for target in targets:
            if targets.count(target) > 1:
                raise ValueError(f"`map` has two symbols for {target!r}; each has one of its own")
        for symbol in (*self.map, *targets):
            if not 1 <= len(symbol) <= MAX_NAME:
                raise ValueError(f"a symbol of `map` has 1 to {MAX_NAME} characters: {symbol!r}")

    def _check_money(self) -> None:
        needs = self.size in MONEY or self.max_drawdown or self.daily_loss or self.contract
        if needs and not self.follower:
            raise ValueError(
                "`size` by money, `contract`, `max_drawdown` and `daily_loss` need `follower`, "
                "whose REPORT and SPEC count"
            )
        if (self.contract or self.size in MONEY - {"risk"}) and not self.provider:
            raise ValueError("`size` by money and `contract` need `provider`")
        for terminal in filter(None, (self.follower, self.provider)):
            _check_terminal(terminal)
        for limit in filter(None, (self.max_drawdown, self.daily_loss)):
            Limit.read(limit)

    def target(self, symbol: str) -> str:
        """Return the name of a source's symbol in the view."""
        mapped = self.map.get(symbol)
        return f"{self.prefix}{symbol}{self.suffix}" if mapped is None else mapped

    def is_open(self, when: int) -> bool:
        """Return whether `hours` permit an opening; `when` is milliseconds since the epoch."""
        if not self.hours:
            return True
        moment = datetime.fromtimestamp(when / 1000, ZoneInfo(self.zone))
        return any(Hours.read(each).has(moment) for each in self.hours)


def _check_terminal(text: str) -> None:
    login, slash, name = text.partition("/")
    try:
        check_name(login)
    except AccountError as error:
        raise ValueError(
            f"a terminal is LOGIN or LOGIN/NAME, such as bob/desk, not {text!r}. {error}"
        ) from None
    if slash and _NAME.fullmatch(name) is None:
        raise ValueError(f"a terminal is LOGIN or LOGIN/NAME, such as bob/desk, not {text!r}")
