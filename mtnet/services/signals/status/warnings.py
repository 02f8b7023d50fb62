"""
The table of warnings: code, priority, and a sentence that says what to do.

Pure. The priorities 10, 20, 30, 40, 50, 60, 70 and 80 are those of the copiers that people know.
Positions that are wrong come before signals that are late, and these before what threatens the
next signal. What makes somebody `error` or `offline` comes before all that does not: the first
warning says why somebody must act.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, cast

from msgspec import Struct
from msgspec.structs import replace

Status = Literal["ok", "unknown", "warning", "error", "offline"]
"""How somebody is: all is well, nobody knows whether it is, somebody should look, somebody must
act, nobody is there."""
Role = Literal["follower", "provider"]
Code = Literal[
    "switched_off",
    "diverged",
    "damaged",
    "wrong_volume",
    "refused",
    "offline",
    "blind",
    "slow",
    "not_acknowledged",
    "trading_off",
    "two_accounts",
    "behind",
    "no_provider",
    "limit_struck",
    "waiting_for_report",
    "fenced",
    "provider_switched_off",
    "provider_offline",
    "provider_silent",
    "provider_trading_off",
    "some_providers",
    "report_stale",
    "old_client",
    "other_volume",
    "untold",
    "unconfirmed",
    "frozen",
    "paused",
]
UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))
"""Seconds and names of the units in which people are told durations of at least two of them."""
ORDER: Mapping[Status, int] = {"ok": 0, "unknown": 1, "warning": 2, "error": 3, "offline": 4}
WHO = "\0"
"""Stands for the participant in the sentences of a judgement, so that all who are judged alike
share one: a judgement with its sentences takes 500 bytes, and most followers wait alike."""
SHARED = 1_024
"""Judgements that are remembered to be shared."""


class Rule(NamedTuple):
    """
    One line of the table.

    Attributes:
        priority: lower is more urgent.
        follower, provider: the status that it makes of each; `ok` = it is about the channel, which
            a person has paused; None = there is no such warning.
        text: the sentence, a format.
        public: the same for those who may not see accounts and balances; empty = `text`.
    """

    priority: int
    follower: Status | None
    provider: Status | None
    text: str
    public: str = ""


RULES: Mapping[Code, Rule] = {
    "switched_off": Rule(
        10,
        "offline",
        None,
        "{who} was switched off {ago} ago: start its program again, or say `mtnet signals forget "
        "{who}`.",
    ),
    "diverged": Rule(
        14,
        "error",
        "error",
        "The history of {channel} went back: put the right data folder back, or say "
        "`mtnet signals accept {channel}`.",
    ),
    "damaged": Rule(
        16,
        "error",
        "error",
        "{channel} is damaged and tells nobody anything: restore a backup, or say "
        "`mtnet signals accept {channel}`.",
    ),
    "wrong_volume": Rule(
        17,
        "error",
        None,
        "{who} holds {held} of {symbol}, it should hold {wanted}{reason}: correct it at the "
        "terminal.",
    ),
    "refused": Rule(
        18,
        "error",
        None,
        "{who} could not carry out {symbol} {wanted}{reason}: do it by hand, or remove the cause.",
    ),
    "offline": Rule(
        20,
        "offline",
        None,
        "{who} is offline for {ago}, at signal {sent} of {seq}: start its terminal, and look "
        "after its positions until then.",
    ),
    "blind": Rule(
        22,
        "error",
        None,
        "Nothing was heard of {who} for {ago}{why}.",
    ),
    "slow": Rule(
        24,
        "error",
        None,
        "{who} does not read, and has taken no byte for {ago}{waiting}: look whether its terminal "
        "hangs and its network works.",
    ),
    "not_acknowledged": Rule(
        26,
        "error",
        None,
        "{who} has not acknowledged signal {next} for {ago}{why}.",
    ),
    "trading_off": Rule(
        30,
        "error",
        None,
        "Algorithmic trading is off in the terminal of {who}: press the button Algo Trading there.",
    ),
    "two_accounts": Rule(
        32,
        "error",
        "error",
        "Two accounts report as {who}, {accounts}: give each terminal a login or a name of its "
        "own.",
        "Two accounts report as {who}: give each terminal a login or a name of its own.",
    ),
    "behind": Rule(
        34,
        "warning",
        None,
        "{who} is {behind} and {ago} behind on {channel}: if that stays, look at its network.",
    ),
    "no_provider": Rule(
        40,
        "warning",
        "warning",
        "Nobody has published in {channel} yet: start a provider, or follow another channel.",
    ),
    "limit_struck": Rule(
        44,
        "warning",
        None,
        "{channel} opens nothing more, because {why}: `mtnet signals resume {channel}` ends it.",
        "{channel} opens nothing more, because a limit of its account was reached: `mtnet signals "
        "resume {channel}` ends it.",
    ),
    "waiting_for_report": Rule(
        46,
        "warning",
        None,
        "{channel} opens nothing, because {why}: let that terminal run with its expert.",
    ),
    "fenced": Rule(
        48,
        None,
        "error",
        "A newer publisher has taken {channel} from {who}: stop one of the two, or restart this "
        "one to take it back.",
    ),
    "provider_switched_off": Rule(
        50,
        "warning",
        "offline",
        "{provider} of {channel} was switched off {ago} ago: start it again, or say `mtnet signals "
        "forget {provider}`.",
    ),
    "provider_offline": Rule(
        60,
        "warning",
        "offline",
        "{provider} of {channel} is offline for {ago}: start its terminal.",
    ),
    "provider_silent": Rule(
        65,
        "warning",
        "error",
        "Nothing was heard of {provider} of {channel} for {ago}: look whether its terminal hangs "
        "and its network works.",
    ),
    "provider_trading_off": Rule(
        70,
        "warning",
        "error",
        "Algorithmic trading is off in the terminal of {provider} of {channel}: press the button "
        "Algo Trading there.",
    ),
    "some_providers": Rule(
        80,
        "warning",
        None,
        "Of the sources of {channel}, {names} has no provider: start it.",
    ),
    "report_stale": Rule(
        85,
        "warning",
        "warning",
        "The terminal of {who} has sent no REPORT for {ago}: look whether its expert runs.",
    ),
    "old_client": Rule(
        90,
        "warning",
        "warning",
        "{who} runs {client}, which is older than {wanted}: `mtnet mql5` has the present one.",
    ),
    "other_volume": Rule(
        92,
        "unknown",
        None,
        "{who} holds {held} of {symbol}, it should hold {wanted}: right if its program multiplies "
        "volumes itself; of a view made for it that is known.",
    ),
    "untold": Rule(
        93,
        "unknown",
        None,
        "{who} has not told what it holds of {symbols}: look at its terminal.",
    ),
    "unconfirmed": Rule(
        94,
        "unknown",
        None,
        "{who} has acknowledged nothing, so nobody here knows what it holds: look at its terminal, "
        "or run the expert MtnetFollower there, which tells it.",
    ),
    "frozen": Rule(
        95,
        "ok",
        "ok",
        "{channel} is frozen, so nothing is copied, and closings wait too: `mtnet signals resume "
        "{channel}` ends it.",
    ),
    "paused": Rule(
        96,
        "ok",
        "ok",
        "{channel} is paused, so nothing new opens, and closings are made: `mtnet signals resume "
        "{channel}` ends it.",
    ),
}


class StatusWarning(Struct, frozen=True, omit_defaults=True, gc=False):
    """A warning: its code, its priority, and the sentence; `public` as of `Rule`."""

    code: Code
    priority: int
    text: str
    public: str = ""


class Judgement(Struct, frozen=True, gc=False):
    """
    A status, of all participants that are judged alike.

    Attributes:
        warnings: the most urgent first; `WHO` stands for the participant.
        late: whether a follower lacks signals for longer than they are on their way.
    """

    status: Status
    warnings: tuple[StatusWarning, ...] = ()
    late: bool = False

    def about(self, who: str) -> list[StatusWarning]:
        """Return the warnings of one participant."""
        return [
            replace(each, text=each.text.replace(WHO, who), public=each.public.replace(WHO, who))
            for each in self.warnings
        ]


class Finding(NamedTuple):
    """Trouble of a participant, with the words of its sentence besides `who`."""

    code: Code
    details: Mapping[str, object] = {}


OK, OK_YET_LATE = Judgement("ok"), Judgement("ok", late=True)


def judgement(role: Role, found: Iterable[Finding], late: bool = False) -> Judgement:
    """Return the worst status of findings, and their warnings in order; the same when equal."""
    warnings = [_warning(each) for each in found]
    if not warnings:
        return OK_YET_LATE if late else OK
    warnings.sort(key=lambda warning: warning.priority)
    status = max((status_of(role, each.code) for each in warnings), key=ORDER.__getitem__)
    return _shared(Judgement(status, tuple(warnings), late))


@lru_cache(SHARED)
def _shared(found: Judgement) -> Judgement:
    return found


def status_of(role: Role, code: Code) -> Status:
    """Return what one warning makes of a participant."""
    return cast(Status, getattr(RULES[code], role) or "ok")


def _warning(finding: Finding) -> StatusWarning:
    rule = RULES[finding.code]
    words = {**finding.details, "who": WHO}
    text, public = (each.format_map(words) for each in (rule.text, rule.public))
    return StatusWarning(finding.code, rule.priority, text, public)


def duration(milliseconds: int) -> str:
    """Return a duration for a sentence: `40 s`, `12 min`, `3 h`, `2 days`."""
    count, (_, unit) = _unit(milliseconds)
    return f"{count} {unit}"


def counted_signals(count: int) -> str:
    """Return how many signals, for a sentence: `1 signal`, `2 signals`."""
    return f"{count} signal" if count == 1 else f"{count} signals"


def next_duration(milliseconds: int) -> int:
    """Return the milliseconds from which `duration` says something else."""
    count, (size, _) = _unit(milliseconds)
    return (count + 1) * size * 1000


def _unit(milliseconds: int) -> tuple[int, tuple[int, str]]:
    """Return how many of a unit a duration is, and the unit with its seconds."""
    seconds = max(0, milliseconds) // 1000
    unit = next((each for each in UNITS if seconds >= 2 * each[0]), (1, "s"))
    return seconds // unit[0], unit
