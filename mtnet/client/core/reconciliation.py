"""
Position reconciliation: the positions of an account against those of its channel.

Pure. Volumes are lots, signed; `when` is seconds of a monotonic clock.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import cast

from msgspec import Struct

from mtnet.client.core.numbers import Number, plain_text
from mtnet.errors import ClientError, WireError
from mtnet.services.signals.values import Kind, parse_volume
from mtnet.services.signals.wire.answers import Entry
from mtnet.services.signals.wire.requests import Publish, publish, read_request
from mtnet.session.grammar import parse

CONFIRM_AFTER = 10.0
"""Seconds between two countings that must both lack a position before it is closed."""
COMPARED = frozenset({"comment", "magic", "price", "sl", "tp"})
"""The fields that are compared; times are not."""

Key = tuple[str, str]
"""Symbol and ticket; no ticket = the net position."""
Shown = Entry | Publish
"""A position as a channel shows it, or will."""


class Position(Struct, frozen=True):
    """
    A position, or an order, that an account holds.

    Attributes:
        volume: lots; positive = bought, negative = sold; 0 = it is certainly closed.
        ticket: of one position among several of the symbol; empty = the net position.
        price, sl, tp: as text, with the digits that count.
        ptime: when it was opened, milliseconds since the Unix epoch, UTC.
    """

    symbol: str
    volume: Number
    ticket: str = ""
    type: Kind = "position"
    price: str = ""
    sl: str = ""
    tp: str = ""
    magic: str = ""
    comment: str = ""
    ptime: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """Return those of `PUBLISH` that it has."""
        names = (*sorted(COMPARED), "ptime")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class Holdings(Struct, frozen=True):
    """
    The positions of an account, and how certain they are.

    Attributes:
        positions: everything that it holds.
        account: its name, as `123456@Broker-Server`; a change of accounts restarts the counting.
        flat: nothing else is held for certain, as when equity = balance > 0. Without it an account
            that has no position closes none: a terminal that has not loaded has none either.
    """

    positions: Iterable[Position]
    account: str = ""
    flat: bool = False


Positions = Callable[[], Iterable[Position] | Holdings | None]
"""Returns everything that an account holds; None = that is not known yet."""


class Counted(Struct, frozen=True):
    """
    One counting of an account.

    Attributes:
        positions: everything that it holds, as its channel would show it.
        account, flat: as of `Holdings`.
    """

    positions: list[Publish]
    account: str = ""
    flat: bool = False


def count(positions: Positions, channel: str) -> Counted | None:
    """
    Count an account for its channel; None = what it holds is not known yet.

    Raises:
        ClientError: the program fails, or a position cannot be published.
    """
    try:
        found = positions()
        if found is None:
            return None
        held = found if isinstance(found, Holdings) else Holdings(found)
        shown = [_normalized(each, channel) for each in held.positions]
        return Counted(shown, held.account, held.flat)
    except ClientError:
        raise
    except Exception as error:
        # An error of the program must not end the connection.
        raise ClientError(f"The positions of the account cannot be counted: {error!r}.") from error


def _normalized(position: Position, channel: str) -> Publish:
    """Return a position as the server would read it, so that equal ones are equal."""
    text = plain_text(position.volume)
    try:
        asked = Publish(
            "x",
            position.symbol,
            parse_volume(text),
            channel,
            position.ticket,
            position.type,
            tuple(position.fields.items()),
        )
        return cast(Publish, read_request(parse(publish(asked)[2:-4])))
    except WireError as error:
        raise ClientError(f"{error}; {position} cannot be published.") from error


class Reconciliation:
    """
    Finds the signals that make the channel equal to the account.

    A position that the account lacks is closed when two countings lack it, `CONFIRM_AFTER` apart:
    a terminal that has just started does not know its positions yet.

    Attributes:
        unsure: whether a position is missing that only another counting may close.
        unproven: whether a closing is withheld only because the account has no position at all.
    """

    def __init__(self) -> None:
        self._missing: dict[Key, float] = {}
        self._account = ""
        self.unsure = self.unproven = False

    def begin(self) -> None:
        """Restart: positions that were missing before count for nothing."""
        self._missing.clear()

    def compare(self, counted: Counted, channel: Mapping[Key, Shown], when: float) -> list[Publish]:
        """
        Compare one counting of the account; return the signals to publish, closes first.

        Args:
            channel: its positions, as they will be when pending signals are stored.

        Raises:
            ClientError: two positions of the account are the same.
        """
        wanted: dict[Key, Publish] = {}
        for each in counted.positions:
            if wanted.setdefault(key_of(each), each) is not each:
                raise ClientError(f"The account has {_name(each)} twice; give each its ticket.")
        if counted.account != self._account:
            self._account = counted.account
            self.begin()
        missing = channel.keys() - wanted.keys()
        self._missing = {key: self._missing.get(key, when) for key in missing}
        gone = {key for key, since in self._missing.items() if when - since >= CONFIRM_AFTER}
        self.unproven = bool(gone) and not (
            counted.flat or any(each.volume for each in wanted.values())
        )
        if self.unproven:
            gone = set()
        self.unsure = gone != missing
        changes = [Publish("", symbol, Decimal(0), ticket=ticket) for symbol, ticket in gone]
        for key, each in wanted.items():
            if _other_form(key, missing - gone):
                continue  # until the symbol is flat, it is by ticket or it is not
            shown = channel.get(key)
            if (shown is None and each.volume) or (shown is not None and not _same(each, shown)):
                changes.append(each)
        return sorted(changes, key=lambda each: _rank(each, channel.get(key_of(each))))


def opens(change: Publish, shown: Shown | None) -> bool:
    """Return whether a change opens or enlarges a position, and closes none of it before."""
    if not change.volume or shown is None:
        return bool(change.volume)
    turns = (change.volume > 0) != (shown.volume > 0) or change.type != shown.type
    return not turns and abs(change.volume) > abs(shown.volume)


def apply(channel: dict[Key, Shown], change: Shown) -> None:
    """Apply a change to a channel; without a ticket, volume 0 closes every ticket."""
    if change.volume:
        channel[key_of(change)] = change
    elif change.ticket:
        channel.pop(key_of(change), None)
    else:
        for key in [key for key in channel if key[0] == change.symbol]:
            del channel[key]


def key_of(position: Shown) -> Key:
    """Return the key of a position within its channel."""
    return position.symbol, position.ticket


def _rank(change: Publish, shown: Shown | None) -> tuple[bool, bool, Key]:
    return opens(change, shown), bool(change.volume), key_of(change)


def _other_form(key: Key, others: Iterable[Key]) -> bool:
    return any(symbol == key[0] and bool(ticket) != bool(key[1]) for symbol, ticket in others)


def _same(one: Publish, other: Shown) -> bool:
    return (one.volume, one.type, _values(one)) == (other.volume, other.type, _values(other))


def _values(position: Shown) -> dict[str, str | Decimal]:
    """Return the compared fields; numbers by their value, whatever their digits."""
    return {
        key: text if key == "comment" else Decimal(text)
        for key, text in position.fields
        if key in COMPARED
    }


def _name(position: Shown) -> str:
    return position.symbol + (f" {position.ticket}" if position.ticket else "")
