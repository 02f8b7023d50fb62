"""
Who may set what in a channel: one publisher of dialect 2 at a time, within guard rails.

Pure. A referee judges one commit, in the order in which its drafts came: it knows what each of
them would change, and who was the publisher before.
"""

from collections.abc import Mapping
from decimal import Decimal

from mtnet.errors import WireError
from mtnet.settings import Rails
from mtnet.signals.entries import FLAT, Draft

OPERATOR = 0
"""The number of whoever runs the daemon, whom nothing stops; publishers count from 1."""


class Referee:
    """
    Args:
        rails: `[signals.channels]`.
        owners: by channel, the number of its live publisher of dialect 2.
        paused: channels in which nothing may be set.
    """

    def __init__(
        self, rails: Mapping[str, Rails], owners: Mapping[str, int], paused: frozenset[str]
    ) -> None:
        self._rails, self._owners, self._paused = rails, dict(owners), paused
        self._replaced: set[tuple[str, int]] = set()
        self._numbers: dict[int, int] = {}
        self._fenced: set[int] = set()

    def enter(self, draft: Draft, publisher: int, fenced: bool) -> None:
        """Say whose a draft is, and whether that publisher was replaced in its channel."""
        self._numbers[id(draft)] = publisher
        if fenced:
            self._fenced.add(id(draft))

    def __call__(self, draft: Draft, before: Decimal | None) -> None:
        """
        Judge a draft that is new.

        Raises:
            WireError: `fenced`, `denied` (the channel is paused) or `field` (a guard rail).
        """
        number = self._numbers[id(draft)]
        if number == OPERATOR:
            return
        self._check_fence(draft, number)
        if draft.channel in self._paused:
            raise WireError("denied", f"The channel {draft.channel} is paused by its owner")
        rails = self._rails.get(draft.channel)
        if rails is not None:
            check_rails(rails, draft, before)
        if draft.id:
            self._take(draft.channel, number)

    def _check_fence(self, draft: Draft, number: int) -> None:
        holder = self._owners.get(draft.channel)
        if not draft.id:
            if holder is not None:
                raise WireError(
                    "fenced",
                    f"A publisher of dialect 2 sets {draft.channel}; published frames are not "
                    "heard until it leaves",
                )
        elif id(draft) in self._fenced or (draft.channel, number) in self._replaced:
            raise WireError(
                "fenced",
                f"A newer publisher sets {draft.channel}; say HELLO anew to take it over",
            )

    def _take(self, channel: str, number: int) -> None:
        holder = self._owners.get(channel)
        if holder is not None and holder != number:
            self._replaced.add((channel, holder))
        self._owners[channel] = number


def check_rails(rails: Rails, draft: Draft, before: Decimal | None) -> None:
    """
    Compare a draft with the guard rails of its channel; closing is always allowed.

    Raises:
        WireError: `field`.
    """
    name, change = draft.channel, abs(draft.volume - (before or FLAT))
    if draft.volume == FLAT:
        return
    if rails.symbols and draft.symbol not in rails.symbols:
        raise WireError(
            "field", f"{draft.symbol} is none of the symbols of {name}: {', '.join(rails.symbols)}"
        )
    if rails.max_volume is not None and abs(draft.volume) > rails.max_volume:
        raise WireError(
            "field", f"{draft.volume:f} lots are more than the {rails.max_volume:f} of {name}"
        )
    if rails.max_change is not None and change > rails.max_change:
        raise WireError(
            "field",
            f"A change of {change:f} lots, from {before or FLAT:f} to {draft.volume:f}, is more "
            f"than the {rails.max_change:f} of {name}",
        )
