"""Conditions of alerts about followers, providers, channels and accounts."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from zope.interface import implementer

from mtnet.conditions import SECONDS, Condition, Grammar, read_condition
from mtnet.interfaces import IAlertConditions
from mtnet.services.signals.reports import conditions as accounts
from mtnet.services.signals.reports.conditions import AccountConditions
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.facts import FollowerFacts
from mtnet.services.signals.status.judgements import Judged
from mtnet.services.signals.status.participants import Participants
from mtnet.services.signals.status.warnings import Code, counted_signals, duration

Check: TypeAlias = Callable[[], Mapping[str, str]]
"""Returns what holds now: a sentence by subject."""
ABSENT: tuple[Code, ...] = ("provider_offline", "provider_switched_off", "provider_silent")
"""The warnings that `provider_silent` without a limit stands for."""
GRAMMAR: Grammar = {
    "provider_silent": partial(
        read_condition,
        "provider_silent",
        units=SECONDS,
        example="provider_silent gold > 4h",
        optional=True,
    ),
    "follower_behind": partial(
        read_condition,
        "follower_behind",
        units=("", *SECONDS),
        example="follower_behind > 100, or follower_behind gold > 30s",
    ),
    "follower_not_trading": partial(
        read_condition,
        "follower_not_trading",
        units=(),
        example="follower_not_trading gold/bob",
        optional=True,
    ),
    "no_ack": partial(
        read_condition, "no_ack", units=SECONDS, example="no_ack gold/bob > 60s", optional=True
    ),
    "refused_acks": partial(
        read_condition, "refused_acks", units=("",), example="refused_acks > 5", optional=True
    ),
    "damaged": partial(read_condition, "damaged", units=(), example="damaged gold", optional=True),
    **accounts.GRAMMAR,
}
"""The conditions of signals."""
REFUSED = Condition("", ">", Decimal(5))
"""Refused acknowledgements of an hour, where a condition names no number."""


@implementer(IAlertConditions)
class SignalConditions:
    """
    Args:
        signals: knows what is damaged, and the time.
        accounts: the conditions about accounts.
    """

    def __init__(
        self, signals: SignalService, participants: Participants, accounts: AccountConditions
    ) -> None:
        self._signals, self._participants, self._accounts = signals, participants, accounts

    def conditions(self) -> dict[str, Callable[[str], Check]]:
        """Return the words, see `IAlertConditions`."""
        return {
            "provider_silent": self._provider_silent,
            "follower_behind": self._follower_behind,
            "follower_not_trading": self._not_trading,
            "no_ack": self._no_ack,
            "refused_acks": self._refused_acks,
            "damaged": self._damage,
            **self._accounts.conditions(),
        }

    # Participants

    def _not_trading(self, text: str) -> Check:
        wanted = GRAMMAR["follower_not_trading"](text)
        return lambda: dict(self._warned(("trading_off",), wanted))

    def _provider_silent(self, text: str) -> Check:
        wanted = GRAMMAR["provider_silent"](text)
        if not wanted.operator:
            return lambda: dict(self._warned(ABSENT, wanted))
        return lambda: dict(self._quiet(wanted))

    def _quiet(self, wanted: Condition) -> Iterator[tuple[str, str]]:
        """Yield the channels in which nobody has published for so long."""
        now = self._signals.now()
        for each in self._of("provider", wanted):
            channel = each.facts.channel
            age = None if channel.newest is None else now - channel.newest
            if age is not None and age > wanted.milliseconds:
                yield channel.name, f"Nobody has published in {channel.name} for {duration(age)}."

    def _follower_behind(self, text: str) -> Check:
        wanted = GRAMMAR["follower_behind"](text)
        return lambda: dict(self._behind(wanted))

    def _behind(self, wanted: Condition) -> Iterator[tuple[str, str]]:
        now = self._signals.now()
        for each in self._of("follower", wanted):
            count, since = each.behind()
            late = 0 if since is None else now - since
            if late > wanted.milliseconds if wanted.unit else wanted.holds(count):
                where = f"{counted_signals(count)} and {duration(late)}"
                yield (
                    _subject(each),
                    f"{each.facts.who} is {where} behind on {each.facts.channel.name}.",
                )
            elif wanted.unit and since == each.facts.since:
                yield _subject(each), ""  # it came, or the daemon did: time counts anew

    def _no_ack(self, text: str) -> Check:
        wanted = GRAMMAR["no_ack"](text)
        if not wanted.operator:
            return lambda: dict(self._warned(("not_acknowledged",), wanted))
        return lambda: dict(self._unacknowledged(wanted))

    def _unacknowledged(self, wanted: Condition) -> Iterator[tuple[str, str]]:
        now = self._signals.now()
        for each in self._of("follower", wanted):
            facts = each.facts
            if isinstance(facts, FollowerFacts) and facts.unacknowledged is not None:
                age = now - max(facts.unacknowledged, facts.since)
                if age > wanted.milliseconds and facts.expected:
                    text = f"{facts.who} has not acknowledged signal {facts.next}"
                    yield _subject(each), f"{text} of {facts.channel.name} for {duration(age)}."
                elif facts.since > facts.unacknowledged:
                    yield _subject(each), ""  # it came, or the daemon did: time counts anew

    def _refused_acks(self, text: str) -> Check:
        wanted = GRAMMAR["refused_acks"](text)
        limit = wanted if wanted.operator else REFUSED._replace(subject=wanted.subject)
        return lambda: dict(self._refused(limit))

    def _refused(self, wanted: Condition) -> Iterator[tuple[str, str]]:
        now = self._signals.now()
        for each in self._of("follower", wanted):
            count = 0 if each.follower is None else each.follower.refusals(now)
            if wanted.holds(count):
                text = f"{each.facts.who} could not carry out {counted_signals(count)}"
                yield _subject(each), f"{text} of {each.facts.channel.name} within an hour."

    def _warned(self, codes: tuple[Code, ...], wanted: Condition) -> Iterator[tuple[str, str]]:
        for each in self._participants.judged():
            texts = [one.text for one in each.warnings if one.code in codes]
            own = each.role == ("provider" if codes is ABSENT else "follower")
            if texts and own and _concerns(wanted, each):
                yield _subject(each), texts[0]

    def _of(self, role: str, wanted: Condition) -> Iterator[Judged]:
        for each in self._participants.judged():
            if each.role == role and _concerns(wanted, each):
                yield each

    # Channels

    def _damage(self, text: str) -> Check:
        wanted = GRAMMAR["damaged"](text)
        return lambda: {
            name: f"{why}."
            for name, why in self._signals.damaged().items()
            if wanted.subject in ("", name)
        }


def _subject(judged: Judged) -> str:
    return "/".join(filter(None, (judged.facts.channel.name, judged.facts.who)))


def _concerns(wanted: Condition, judged: Judged) -> bool:
    """Return whether a condition is about somebody: a channel, or one of its participants."""
    channel, who = judged.facts.channel.name, judged.facts.who
    return wanted.subject in ("", channel, f"{channel}/{who}")
