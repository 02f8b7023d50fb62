"""
Sources of ticks, and gaps in what they sent: plain integers for each source.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC.
"""

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

WINDOW = 1_024
"""A number that lies no more than so far below the highest may be late or a repeat."""
SLOTS = WINDOW + 1
MOST = 2**63 - 1
"""The limit of a count: the largest integer of SQLite."""
MOST_RECORDS = 2**32 - 1
"""The most records of a batch that are remembered: 32 bits."""
GAPS = 1_000
"""Gaps of a source that are kept one by one, newest last; the totals count all of them."""


class Batch:
    """
    The records behind one header: a whole datagram, or a stream up to its next header.

    Attributes:
        number: SEQ of the header.
        records: how many so far.
    """

    def __init__(self, number: int, text: bytes = b"") -> None:
        self.number, self.records = number, 0
        self._hash = blake2b(digest_size=8)
        self.add(text)

    def add(self, text: bytes) -> None:
        """Add records as they were sent, each ended by LF."""
        self.records += text.count(b"\n")
        self._hash.update(text)

    def seen(self) -> "Seen":
        """Return its fingerprint."""
        digest = int.from_bytes(self._hash.digest(), "little", signed=True)
        return Seen(self.number, self.records, digest)


class Seen(NamedTuple):
    """The fingerprint of a batch: SEQ, records, and a digest of 64 bits."""

    number: int
    records: int
    digest: int


class Verdict(Enum):
    """The classes of batches by their numbers."""

    NEXT = "next"
    """It is higher than all before it."""
    LATE = "late"
    """It was overtaken by a higher one."""
    REPEAT = "repeat"
    """It was here before, with the same bytes."""
    RESTART = "restart"
    """Its sender started again."""


@dataclass
class Gap:
    """
    Numbers that were jumped over.

    Attributes:
        first, last: the numbers.
        found: when the jump was seen.
        run: how often the sender had started again.
        late: how many of them came late.
    """

    first: int
    last: int
    found: int
    run: int
    late: int = 0


@dataclass
class Source:
    """
    One sender.

    Attributes:
        name: as it calls itself, or its address.
        number: of it in the store; 0 = it has none yet.
        received: records that were read; each of them is stored, dropped, refused or repeated.
        refused: records that could not be read, or whose symbol is one too many.
        dropped: records that there was no room for.
        repeated: records of repeated batches.
        repeats, restarts, disorder: batches that were repeated, started again, came late.
        missing: batches that were jumped over and have not come, up to `MOST`.
        highest: SEQ of the newest batch; None = it does not number them.
        first, last: when the first and last record came.
        longest: milliseconds between two records, at most.
        gaps: the newest of them.
        unstored: records of `dropped` that were taken before, and that the store rejected.
        fresh: batches that were remembered since they were last taken.
        changed: gaps that are new or were filled since they were last taken.
    """

    name: str
    number: int = 0
    received: int = 0
    refused: int = 0
    dropped: int = 0
    repeated: int = 0
    repeats: int = 0
    restarts: int = 0
    disorder: int = 0
    missing: int = 0
    highest: int | None = None
    first: int | None = None
    last: int | None = None
    longest: int = 0
    unstored: int = 0
    gaps: "deque[Gap]" = field(default_factory=lambda: deque(maxlen=GAPS))
    fresh: dict[int, Seen] = field(default_factory=dict)
    changed: dict[tuple[int, int], Gap] = field(default_factory=dict)
    _numbers: "array[int]" = field(default_factory=lambda: array("q"))
    _counts: "array[int]" = field(default_factory=lambda: array("L"))
    _digests: "array[int]" = field(default_factory=lambda: array("q"))

    def status(self) -> dict[str, object]:
        """Return what people are shown of it."""
        return {
            "received": self.received,
            "missing": self.missing,
            "dropped": self.dropped,
            "refused": self.refused,
            "repeated": self.repeated,
            "restarts": self.restarts,
            "last": self.last,
        }

    def count_received(self, records: int, when: int) -> None:
        """Count records that were read."""
        self.received += records
        if self.last is None:
            self.first = self.last = when
        elif when > self.last:
            self.longest = max(self.longest, when - self.last)
            self.last = when

    def known(self, number: int) -> Seen | None:
        """Return the batch of that number among the last `WINDOW`, or None."""
        slot = number % SLOTS
        if not self._numbers or self._numbers[slot] != number or self._is_old(number):
            return None
        return Seen(number, self._counts[slot], self._digests[slot])

    def classify(self, seen: Seen, when: int) -> Verdict:
        """Classify a batch by its number, count it, and remember it."""
        before, highest = self.known(seen.number), self.highest
        if before == seen:
            self.repeats += 1
            return Verdict.REPEAT
        if highest is None or seen.number > highest:
            verdict = self._advance(seen.number, when)
        elif before is not None or seen.number == 1 or self._is_old(seen.number):
            verdict = self._restart(seen.number)
        else:
            verdict = self._late(seen.number)
        self.remember(seen)
        return verdict

    def remember(self, seen: Seen) -> None:
        """
        Remember a batch, or how far it has grown.

        A batch older than the window is not remembered; of one longer than `MOST_RECORDS`, its
        beginning is.
        """
        if not self._is_old(seen.number) and seen.records <= MOST_RECORDS:
            self._put(seen)
            self.fresh[seen.number] = seen

    def restore(self, batches: Iterable[Seen]) -> None:
        """Remember batches of an earlier run of the daemon."""
        for seen in batches:
            self._put(seen)

    def take_fresh(self) -> list[Seen]:
        """Return what was remembered since the last call."""
        fresh, self.fresh = self.fresh, {}
        return list(fresh.values())

    def take_changed(self) -> list[Gap]:
        """Return the gaps that changed since the last call; the newest `GAPS` of them."""
        changed, self.changed = self.changed, {}
        return list(changed.values())[-GAPS:]

    def _is_old(self, number: int) -> bool:
        return self.highest is not None and number < self.highest - WINDOW

    def _put(self, seen: Seen) -> None:
        if not self._numbers:
            self._clear()
        slot = seen.number % SLOTS
        self._numbers[slot], self._counts[slot], self._digests[slot] = seen

    def _clear(self) -> None:
        self._numbers = array("q", [-1]) * SLOTS
        self._counts = array("L", [0]) * SLOTS
        self._digests = array("q", [0]) * SLOTS

    def _advance(self, number: int, when: int) -> Verdict:
        if self.highest is not None and number > self.highest + 1:
            self.missing = min(MOST, self.missing + number - self.highest - 1)
            gap = Gap(self.highest + 1, number - 1, when, self.restarts)
            self.gaps.append(gap)
            self._change(gap)
        self.highest = number
        return Verdict.NEXT

    def _restart(self, number: int) -> Verdict:
        self.restarts += 1
        self._clear()
        self.fresh.clear()
        self.highest = number
        return Verdict.RESTART

    def _late(self, number: int) -> Verdict:
        self.disorder += 1
        for gap in reversed(self.gaps):
            if gap.run == self.restarts and gap.first <= number <= gap.last:
                gap.late += 1
                self.missing -= 1
                self._change(gap)
                break
        return Verdict.LATE

    def _change(self, gap: Gap) -> None:
        self.changed[gap.run, gap.first] = gap
