"""
The transform of a view: from the entries of its sources to its own.

Pure. The state of a view is its ledger; what it shows is a function of that alone, so that the
same entries give the same view. Volumes are lots, times milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.ownership.transitions import POSITION
from mtnet.services.signals.values import Fields, Kind
from mtnet.services.signals.views.ledger import SMALLEST, Key, Row, Size, Target
from mtnet.services.signals.views.settings import MAX_NAME, ViewMode, ViewSettings

RISK_WAIT = 60_000
"""Milliseconds for which an opening waits for the stop loss that its size depends on."""
MAX_TICKET = 40
"""Characters of a ticket in a view of several sources."""
MIRRORED: Mapping[Kind, Kind] = {
    "position": "position",
    "buy_limit": "sell_stop",
    "sell_limit": "buy_stop",
    "buy_stop": "sell_limit",
    "sell_stop": "buy_limit",
}
"""The type of a position or order on the other side; a stop limit has no mirror."""


class Terms(Struct, frozen=True):
    """
    Knowledge about the follower at one moment.

    Attributes:
        when: the moment.
        closed: why nothing may be opened, in words; empty = it may.
        ratio: of the follower's money to the provider's; None = not known.
        equity: the follower's; None = not known.
        min, max, step: lots of its broker by symbol; a missing one is not known.
        contract: the provider's contract size by the follower's, by the source's symbol.
        tick_value: money of one lot for one unit of price, by the follower's symbol.
    """

    when: int
    closed: str = ""
    ratio: Fraction | None = None
    equity: Decimal | None = None
    lots: Mapping[str, tuple[Decimal | None, Decimal | None, Decimal | None]] = {}
    contract: Mapping[str, Fraction] = {}
    tick_value: Mapping[str, Fraction] = {}


class Shown(NamedTuple):
    """A position or an order of a view."""

    volume: Decimal
    type: Kind
    fields: Fields


class Draft(NamedTuple):
    """
    Draft of an entry of a view.

    Attributes:
        opened: when the provider opened it.
    """

    target: Target
    shown: Shown
    opened: int


FLAT_SHOWN = Shown(FLAT, POSITION, ())


class View:
    """
    State machine of one view.

    Args:
        name: of its channel.
        settings: count for openings from now on.
        numbers: of its sources, which are never reused.
        seq: of its last entry.

    Attributes:
        mode: of now; a person changes it.
        struck: why a limit has closed it, in words; empty = none has.
        rows: the ledger.
        shown: what the view's channel holds.
    """

    def __init__(
        self, name: str, settings: ViewSettings, numbers: Mapping[str, int], seq: int = 0
    ) -> None:
        self.name, self.settings, self.numbers, self.seq = name, settings, dict(numbers), seq
        self.mode: ViewMode = settings.mode
        self.struck = ""
        self.rows: dict[Key, Row] = {}
        self.shown: dict[Target, Shown] = {}
        self._holders: dict[Target, Key] = {}
        self.touched: dict[Key, None] = {}

    def load(self, rows: Mapping[Key, Row]) -> None:
        """Begin with the ledger that is stored."""
        self.rows = dict(rows)
        self._holders = {row.target: key for key, row in rows.items() if row.copied}

    def show(self, held: Iterable[Entry]) -> bool:
        """
        Begin with what the channel of the view holds.

        Returns:
            Whether that is what the ledger says.
        """
        self.shown = {
            Target(each.symbol, each.ticket): Shown(each.volume, each.type, each.fields)
            for each in held
            if each.volume
        }
        return self._is_kept_back or all(
            self._wanted(target) == self.shown.get(target, FLAT_SHOWN)
            for target in {*self.shown, *self._holders}
        )

    # Entries

    def apply(self, channel: str, entry: Entry, terms: Terms) -> list[Draft]:
        """Return what the view sets because of an entry of one of its sources."""
        key = Key(self.numbers[channel], entry.symbol, entry.ticket)
        before = self.rows.get(key)
        targets, drafts = set[Target]() if before is None else {before.target}, list[Draft]()
        if entry.volume:
            row = self._changed(key, entry, terms)
            turned = before is not None and (before.volume < 0) != (row.volume < 0)
            if turned and before is not None and (before.shown < 0) == (row.shown < 0):
                # Another position on the same side, since `reverse` was edited: one closes first.
                self._drop(key)
                drafts = self._differences(targets)
            self._set(key, row)
            targets.add(row.target)
        else:
            self._drop(key)
        return drafts + self._differences(targets)

    def join(self, channel: str, held: Iterable[Entry], terms: Terms) -> list[Draft]:
        """Take what a source holds when the view begins to follow it."""
        late = "" if self.settings.late_join == "open" else "it was open before the view"
        closed = replace(terms, closed=terms.closed or late)
        drafts: list[Draft] = []
        for entry in held:
            drafts += self.apply(channel, entry, closed)
        return drafts

    def recompute(self, channel: str, held: Iterable[Entry], terms: Terms) -> list[Draft]:
        """Decide anew, by the settings of now, about everything that is copied of a source."""
        drafts: list[Draft] = []
        for entry in held:
            key = Key(self.numbers[channel], entry.symbol, entry.ticket)
            before = self.rows.get(key)
            if before is not None and before.copied:
                self._drop(key)
                row = replace(self._opening(key, entry, terms, self.settings), seq=before.seq)
                self._set(key, row)
                drafts += self._differences({before.target, row.target})
        return drafts

    def adopt(self, channel: str, held: Iterable[Entry]) -> None:
        """Take what is shown as a part of what a source holds; what it lacks is not copied."""
        for entry in held:
            if not entry.volume:
                continue
            key = Key(self.numbers[channel], entry.symbol, entry.ticket)
            why = "the ledger of the view was damaged"
            row = self._skipped(key, entry, why, self.settings)
            shown = self.shown.get(row.target, FLAT_SHOWN)
            same = (shown.volume < 0) == ((entry.volume < 0) != row.reverse)
            if shown.volume and same and shown.type == row.type:
                k = Fraction(abs(shown.volume)) / Fraction(abs(entry.volume))
                size = Size(k, self.settings.step or SMALLEST, grows=False)
                copied = Fraction(abs(entry.volume))
                row = replace(row, size=size, copied=copied, skipped="", fields=shown.fields)
            self._set(key, row)

    def settle(self) -> list[Draft]:
        """Return what leads to what the ledger says."""
        return self._differences({*self.shown, *self._holders})

    def follow(self, channel: str, held: Iterable[Entry], terms: Terms) -> list[Draft]:
        """Take what a source holds now, and that all else of it is closed."""
        number, drafts = self.numbers[channel], list[Draft]()
        standing = {Key(number, each.symbol, each.ticket): each for each in held}
        for key in [key for key in self.rows if key.source == number and key not in standing]:
            target = self.rows[key].target
            self._drop(key)
            drafts += self._differences({target})
        for entry in standing.values():
            drafts += self.apply(channel, entry, terms)
        return drafts

    def forget(self, number: int) -> None:
        """Forget a source; nothing of it is shown."""
        for key in [key for key in self.rows if key.source == number]:
            self._drop(key)

    def release(self, seq: int, target: Target, left: Decimal, why: str) -> list[Draft]:
        """
        Take from the follower that a copy is gone, or smaller, though nobody told it.

        Args:
            seq: the entry of the view that it is about.
            left: lots that it still holds; 0 = none.
        """
        key = self._holders.get(target)
        row = None if key is None else self.rows[key]
        if key is None or row is None or row.size is None or seq < row.seq:
            return []
        if left:
            cut = min(row.copied, Fraction(abs(left)) / row.size.k)
            self._set(key, replace(row, copied=cut))
        else:
            self._skip(
                key, f"the follower has closed it: {why}" if why else "the follower closed it"
            )
        return self._differences({target})

    def set_mode(self, mode: ViewMode) -> list[Draft]:
        """Change the mode; what it kept back is told, as far as it closes."""
        before, self.mode = self.mode, mode
        self.struck = "" if mode == "on" else self.struck
        if before == "monitor" != mode:
            self._skip_all("it was open before the view was on")
        return self.settle()

    def flatten(self, why: str) -> list[Draft]:
        """Close everything; what is open now is not copied any more."""
        self.mode = "close_only"
        self._skip_all(why)
        return self.settle()

    # What becomes of a row

    def _changed(self, key: Key, entry: Entry, terms: Terms) -> Row:
        before, volume = self.rows.get(key), entry.volume
        if before is None or (before.volume < 0) != (volume < 0):
            return self._opening(key, entry, terms, self.settings)
        if before.source_type != entry.type:
            return self._filled(key, before, entry, terms)
        row = replace(before, volume=volume, fields=_fields(entry, before.reverse, before.stops))
        if row.settings is not None:
            return self._waited(key, row, row.settings, entry, terms)
        if abs(volume) > abs(before.volume):
            return self._increased(key, row, abs(volume) - abs(before.volume), terms)
        return replace(row, copied=min(row.copied, Fraction(abs(volume))))

    def _waited(
        self, key: Key, row: Row, settings: ViewSettings, entry: Entry, terms: Terms
    ) -> Row:
        """Decide, by the settings at its opening, about one that waited for its stop loss."""
        if terms.when - row.taken > RISK_WAIT:
            why = "no stop loss came within a minute, and its size depends on one"
            return replace(row, skipped=why, settings=None)
        decided = self._opening(key, entry, terms, settings)
        return replace(decided, opened=row.opened, taken=row.taken)

    def _filled(self, key: Key, before: Row, entry: Entry, terms: Terms) -> Row:
        """An order was filled, or became another: that is an opening, which keeps its decision."""
        if before.size is None or before.skipped or entry.type != POSITION:
            return self._opening(key, entry, terms, self.settings)
        if self.struck:
            return self._skipped(key, entry, self.struck, self.settings)
        return replace(
            before,
            volume=entry.volume,
            source_type=entry.type,
            type=POSITION,
            fields=_fields(entry, before.reverse, before.stops),
            copied=min(before.copied, Fraction(abs(entry.volume))),
            seq=0,
        )

    def _increased(self, key: Key, row: Row, more: Decimal, terms: Terms) -> Row:
        size = row.size
        if size is None or row.skipped or not (row.copied and size.grows):
            return row
        if self._closed(terms, self.settings):
            return row
        copied = row.copied + Fraction(more)
        room = self._room(key, row.target.symbol, terms, self.settings)
        if room is not None:
            copied = max(row.copied, min(copied, room / size.k))
        return replace(row, copied=copied)

    def _opening(self, key: Key, entry: Entry, terms: Terms, settings: ViewSettings) -> Row:
        """Decide, once, what is copied of an opening."""
        why = _filtered(entry, settings) or self._closed(terms, settings)
        row = self._skipped(key, entry, why, settings)
        if not why:
            why = self._unfit(key, row.target)
        if why:
            return replace(row, skipped=why)
        size = _size(entry, row.target.symbol, terms, settings)
        if isinstance(size, str):
            if settings.size == "risk" and not _stop(entry):
                return replace(row, settings=settings)
            return replace(row, skipped=size)
        copied = Fraction(abs(entry.volume))
        room = self._room(key, row.target.symbol, terms, settings)
        if room is not None:
            copied = min(copied, room / size.k)
        if not copied:
            return replace(row, skipped="a limit of lots leaves no room for it")
        return replace(row, size=size, copied=copied, skipped="")

    def _skipped(self, key: Key, entry: Entry, why: str, settings: ViewSettings) -> Row:
        kind = MIRRORED.get(entry.type, entry.type) if settings.reverse else entry.type
        return Row(
            entry.volume,
            entry.type,
            kind,
            _fields(entry, settings.reverse, settings.stops == "copy"),
            self._target(key, settings),
            entry.when if entry.opened is None else entry.opened,
            entry.when,
            settings.reverse,
            settings.stops == "copy",
            skipped=why,
        )

    # Decisions

    def _closed(self, terms: Terms, settings: ViewSettings) -> str:
        """Say why nothing is opened now."""
        if self.mode in ("close_only", "frozen"):
            return self.struck or f"the view was {self.mode}"
        return terms.closed or ("" if settings.is_open(terms.when) else "it was out of hours")

    def _unfit(self, key: Key, target: Target) -> str:
        """Say why the view cannot have a position under a name."""
        if not 1 <= len(target.symbol) <= MAX_NAME:
            return f"{target.symbol} is longer than {MAX_NAME} characters"
        if len(target.ticket) > MAX_TICKET:
            return f"its ticket {target.ticket} is longer than {MAX_TICKET} characters"
        for other, holder in self._holders.items():
            # Under one name one of them may be netting, and the other by ticket.
            shared = other.symbol == target.symbol and holder.source == key.source
            if shared and holder.symbol != key.symbol:
                return f"{target.symbol} is that of {holder.symbol} already"
        return ""

    def _room(self, key: Key, symbol: str, terms: Terms, settings: ViewSettings) -> Fraction | None:
        """Return the lots that a copy may have, unsigned; None = as many as it likes."""
        most = settings.max or terms.lots.get(symbol, (None, None, None))[1]
        if most is None and settings.max_symbol is None and settings.max_total is None:
            return None
        others = [
            (row.target.symbol, abs(row.shown)) for each, row in self.rows.items() if each != key
        ]
        room: list[Decimal] = []
        if most is not None:
            room.append(most)
        if settings.max_symbol is not None:
            used = sum((lots for name, lots in others if name == symbol), FLAT)
            room.append(settings.max_symbol - used)
        if settings.max_total is not None:
            room.append(settings.max_total - sum((lots for _, lots in others), FLAT))
        return Fraction(max(FLAT, min(room)))

    def _target(self, key: Key, settings: ViewSettings) -> Target:
        ticket = key.ticket
        if len(self.numbers) > 1:
            ticket = f"{key.source}.{ticket}" if ticket else str(key.source)
        return Target(settings.target(key.symbol), ticket)

    # The ledger

    def _set(self, key: Key, row: Row) -> None:
        before = self.rows.get(key)
        if before is not None and self._holders.get(before.target) == key:
            del self._holders[before.target]
        self.rows[key] = row
        if row.copied:
            self._holders[row.target] = key
        self.touched[key] = None

    def _drop(self, key: Key) -> None:
        row = self.rows.pop(key, None)
        if row is not None:
            if self._holders.get(row.target) == key:
                del self._holders[row.target]
            self.touched[key] = None

    def _skip(self, key: Key, why: str) -> None:
        row = self.rows[key]
        self._set(key, replace(row, size=None, copied=Fraction(0), skipped=why, settings=None))

    def _skip_all(self, why: str) -> None:
        for key, row in list(self.rows.items()):
            if row.copied or row.waits:
                self._skip(key, why)

    # What the view shows

    def _differences(self, targets: Iterable[Target]) -> list[Draft]:
        """Return what leads from what is shown to what the ledger says, closes first."""
        if self._is_kept_back:
            return []
        drafts = []
        for target in sorted(targets):
            wanted, shown = self._wanted(target), self.shown.get(target, FLAT_SHOWN)
            if wanted != shown and (wanted.volume or shown.volume):
                drafts.append(Draft(target, wanted, self._opened(target)))
        drafts.sort(key=lambda draft: abs(draft.shown.volume) > 0)
        for draft in drafts:
            self._show(draft)
        return drafts

    @property
    def _is_kept_back(self) -> bool:
        return self.mode in ("frozen", "monitor")

    def _wanted(self, target: Target) -> Shown:
        key = self._holders.get(target)
        row = None if key is None else self.rows[key]
        lots = FLAT if row is None else row.shown
        return Shown(lots, row.type, row.fields) if row is not None and lots else FLAT_SHOWN

    def _opened(self, target: Target) -> int:
        key = self._holders.get(target)
        return 0 if key is None else self.rows[key].opened

    def _show(self, draft: Draft) -> None:
        """Note what the view shows now, and with which of its entries a copy begins."""
        target, now = draft.target, draft.shown
        before = self.shown.pop(target, FLAT_SHOWN)
        self.seq += 1
        if now.volume:
            self.shown[target] = now
        key = self._holders.get(target)
        if key is not None and not _continues(before, now):
            self._set(key, replace(self.rows[key], seq=self.seq))


def _filtered(entry: Entry, settings: ViewSettings) -> str:
    """Say why the settings leave an opening out."""
    fields = dict(entry.fields)
    if settings.symbols and entry.symbol not in settings.symbols:
        return f"{entry.symbol} is none of `symbols`"
    if entry.symbol in settings.exclude:
        return f"{entry.symbol} is in `exclude`"
    if settings.magic and fields.get("magic", "") not in settings.magic:
        return f"the magic number {fields.get('magic', 'none')} is none of `magic`"
    if settings.side and (entry.volume > 0) != (settings.side == "buy"):
        return f"only {settings.side} is copied"
    if entry.type != POSITION and not settings.pending:
        return "`pending` leaves orders out"
    if settings.reverse and entry.type not in MIRRORED:
        return f"{entry.type} has no mirror"
    return ""


def _size(entry: Entry, target: str, terms: Terms, settings: ViewSettings) -> Size | str:
    """Return the size of an opening, or why it is not known."""
    volume = Fraction(abs(entry.volume))
    value, grows = Fraction(settings.value), True
    if settings.size == "multiplier":
        k = value
    elif settings.size == "fixed":
        k, grows = value / volume, False
    elif settings.size == "risk":
        lots = _risk(entry, target, terms, settings)
        if isinstance(lots, str):
            return lots
        k, grows = lots / volume, False
    elif terms.ratio is None:
        return "the money of follower and provider is not known"
    else:
        k = terms.ratio * value
    if settings.contract:
        factor = terms.contract.get(entry.symbol)
        if factor is None:
            return f"the contract sizes of {entry.symbol} are not known"
        k *= factor
    if settings.size != "fixed":
        k = min(k, Fraction(settings.max_k))
    if k <= 0:
        return "its size is 0"
    least, _, step = terms.lots.get(target, (None, None, None))
    return Size(
        k,
        max(settings.step or step or SMALLEST, SMALLEST),
        settings.min or least or FLAT,
        settings.force_min,
        grows,
    )


def _risk(entry: Entry, target: str, terms: Terms, settings: ViewSettings) -> Fraction | str:
    """Return the lots that lose `value` percent of the equity at the stop loss."""
    stop, price = _stop(entry), dict(entry.fields).get("price")
    if not stop:
        return "it has no stop loss"
    if price is None or terms.equity is None or target not in terms.tick_value:
        return "its price, the follower's equity or its SPEC is not known"
    loss = abs(Fraction(price) - Fraction(stop)) * terms.tick_value[target]
    if not loss:
        return "its stop loss is at its price"
    return Fraction(terms.equity) * Fraction(settings.value) / 100 / loss


def _continues(before: Shown, now: Shown) -> bool:
    """Return whether one state is the same copy as the one before."""
    same = (before.volume < 0) == (now.volume < 0) and before.type == now.type
    return bool(before.volume and now.volume) and same


def _stop(entry: Entry) -> str:
    """Return the stop loss; empty = there is none, which MetaTrader also writes as 0."""
    text = dict(entry.fields).get("sl", "")
    return text if text and Decimal(text) else ""


def _fields(entry: Entry, reverse: bool, stops: bool) -> Fields:
    """Return the fields of a copy: for the other side, stop loss and take profit change places."""
    names = {"sl": "tp", "tp": "sl"} if reverse else {}
    left_out = set[str]() if stops else {"sl", "tp"}
    found = [(names.get(name, name), text) for name, text in entry.fields if name not in left_out]
    return tuple(sorted(found))
