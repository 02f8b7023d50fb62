"""
Detection of followers whose history of a channel differs from its journal.

A copy of the data folder that was put back has the epoch of the original and fewer entries. The
only followers can detect it. Pure: times are milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Collection

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mtnet.errors import JournalError

MAX_CLAIMS = 100
"""Claims of each channel that are kept; the first one is enough for a person."""


class Claim(Struct, frozen=True):
    """
    The history that one follower claims to know.

    Attributes:
        after, h: the entry that it knows last, as in SUBSCRIBE; an empty `h` = it gave none.
        who: its login, name and address.
        last: the last entry of the journal at that time.
        accepted: a person has confirmed the journal.
    """

    after: int
    h: str
    who: str
    when: int
    last: int
    accepted: bool = False


class Divergence(Struct):
    """
    The claims against one channel.

    Attributes:
        epoch: of the journal that they are about; a new epoch ends them.
    """

    epoch: str
    claims: list[Claim] = []


_decoder = msgspec.json.Decoder(dict[str, Divergence])


class Divergences:
    """Those of all channels."""

    def __init__(self) -> None:
        self._channels: dict[str, Divergence] = {}

    def load(self, data: bytes) -> None:
        """
        Begin with what `dump` returned.

        Raises:
            JournalError: it is not that.
        """
        try:
            self._channels = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalError(f"It cannot be read: {error}") from error

    def dump(self) -> bytes:
        """Return what a file keeps."""
        return msgspec.json.encode(self._channels)

    def has_diverged(self, channel: str, epoch: str) -> bool:
        """Say whether anybody ever knew more than this epoch of the channel holds."""
        found = self._channels.get(channel)
        return found is not None and found.epoch == epoch

    def add(self, channel: str, epoch: str, claim: Claim) -> bool:
        """Take a claim; return whether it is a new one."""
        if not self.has_diverged(channel, epoch):
            self._channels[channel] = Divergence(epoch)
        claims = self._channels[channel].claims
        known = any((each.after, each.h) == (claim.after, claim.h) for each in claims)
        if known or len(claims) >= MAX_CLAIMS:
            return False
        claims.append(claim)
        return True

    def accept(self, channel: str) -> None:
        """Mark the claims so far against a channel as accepted."""
        found = self._channels[channel]
        found.claims = [replace(claim, accepted=True) for claim in found.claims]

    def reopen(self, channel: str, claims: Collection[Claim]) -> None:
        """Mark accepted claims as open again."""
        found = self._channels[channel]
        again = {(claim.after, claim.h) for claim in claims}
        found.claims = [
            replace(each, accepted=False) if (each.after, each.h) in again else each
            for each in found.claims
        ]

    def forget(self, channel: str) -> None:
        """End the claims against a channel, which has a new epoch."""
        self._channels.pop(channel, None)

    def open(self, channel: str) -> list[Claim]:
        """Return the open claims against a channel."""
        found = self._channels.get(channel)
        return [] if found is None else [claim for claim in found.claims if not claim.accepted]

    def sentences(self, public: bool = False) -> list[str]:
        """Return what a person must decide, a sentence for each channel."""
        return [self.sentence(name, public) for name in sorted(self._channels) if self.open(name)]

    def sentence(self, channel: str, public: bool = False) -> str:
        """
        Say who claimed what about a channel with open claims, and what to do.

        Args:
            public: leave out who it was, and from where.
        """
        (first, *more) = self.open(channel)
        others = f", and {len(more)} more say such things" if more else ""
        knows = f"{'a follower' if public else first.who} knows entry {first.after}"
        if first.after > first.last:
            why = f"{knows}, and the journal ended at {first.last}"
        else:
            why = f"{knows} with hash {first.h}, and the journal has another one"
        return (
            f"The history of {channel} went back: {why}{others}. Put the right data folder back, "
            f"or say `mtnet signals accept {channel}`"
        )
