"""
The ledger of a view: what was decided about each opening of its sources.

Pure and exact: volumes are lots as Decimals, ratios are Fractions. An opening is a key (source,
symbol, ticket) that goes from 0, from the other sign, or from an order to a position, to a volume.
"""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from msgspec import Struct

from mtnet.services.signals.model import FLAT
from mtnet.services.signals.values import Fields, Kind
from mtnet.services.signals.views.settings import ViewSettings

SMALLEST = Decimal("0.00001")
"""Lots: the finest step that a volume can be written in."""


def shortest(lots: Decimal) -> Decimal:
    """Return the same lots without zeros behind the last digit, and without an exponent."""
    whole = lots.to_integral_value()
    return whole if lots == whole else lots.normalize()


class Key(NamedTuple):
    """
    A position of a source.

    Attributes:
        source: the number of the source within its view.
        ticket: empty = a net position.
    """

    source: int
    symbol: str
    ticket: str


class Target(NamedTuple):
    """A position of the view: its symbol and ticket there."""

    symbol: str
    ticket: str


class Size(Struct, frozen=True, omit_defaults=True):
    """
    The size of a copy, as it was decided at its opening.

    Attributes:
        k: lots of the view for one lot of the provider; of `fixed` and `risk` as well.
        step: lots; volumes are rounded toward zero to it.
        min: lots; less is 0, or is `min` where `force_min` is set.
        grows: whether the copy follows an increase of the provider.
    """

    k: Fraction
    step: Decimal = SMALLEST
    min: Decimal = FLAT
    force_min: bool = False
    grows: bool = True

    def volume(self, copied: Fraction) -> Decimal:
        """Return the lots of the view for `copied` lots of the provider; both are unsigned."""
        if not copied:
            return FLAT
        # copied × k ÷ step in whole numbers: Fractions look for common divisors each time.
        k, (step, parts) = self.k, self.step.as_integer_ratio()
        steps = (
            copied.numerator * k.numerator * parts // (copied.denominator * k.denominator * step)
        )
        lots = shortest(self.step * steps)
        if lots >= self.min:
            return lots
        return self.min if self.force_min else FLAT


class Row(Struct, frozen=True, omit_defaults=True):
    """
    One opening, and what is copied of it.

    Attributes:
        volume: lots that the provider holds now, signed.
        type, fields: as the view shows them; `type` is the provider's in `source_type`.
        target: where the view has it.
        opened: when it was opened, in milliseconds since the Unix epoch, UTC; the earlier one of
            the server's and the provider's clock.
        taken: when the server was told.
        reverse: whether the view has the other side.
        stops: whether the view has stop loss and take profit.
        size: None = it is not copied, or waits for its stop loss.
        copied: the part of the provider's lots that is copied, unsigned.
        skipped: why nothing is copied, in words; empty = it is copied, or waits.
        seq: of the view's entry that opened the copy; 0 = there is none.
        settings: those at the opening, by which its size is decided once its stop loss is known;
            None = it waits for none.
    """

    volume: Decimal
    source_type: Kind
    type: Kind
    fields: Fields
    target: Target
    opened: int
    taken: int
    reverse: bool = False
    stops: bool = True
    size: Size | None = None
    copied: Fraction = Fraction(0)
    skipped: str = ""
    seq: int = 0
    settings: ViewSettings | None = None

    @property
    def waits(self) -> bool:
        """Whether its size waits for a stop loss."""
        return self.settings is not None

    @property
    def shown(self) -> Decimal:
        """Lots of the view, signed."""
        if self.size is None:
            return FLAT
        lots = self.size.volume(self.copied)
        return -lots if (self.volume < 0) != self.reverse else lots
