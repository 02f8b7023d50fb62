"""
The status engine: facts in, a status and warnings out.

Pure. Times are milliseconds since the Unix epoch, UTC.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.status.facts import (
    ChannelFacts,
    FollowerFacts,
    Key,
    ProviderFacts,
)
from mtnet.services.signals.status.warnings import (
    Code,
    Finding,
    Judgement,
    counted_signals,
    duration,
    judgement,
    next_duration,
)
from mtnet.services.signals.views.terms import FRESH, account

SILENCE = 12_000
"""Milliseconds without a sign of life after which somebody counts as blind or silent: a follower
says that of itself after as long, and the server closes after 20 s."""
STALL = 5_000
"""Milliseconds without taking a byte: what is sent on a healthy network is taken within one."""
ACK_TIME = 15_000
"""Milliseconds for an ACK: an order takes a second, and is tried again for some."""
CATCH_UP = 5_000
"""Milliseconds in which a follower is sent what is new; it is milliseconds while all is well."""
LATE = 2_000
"""Milliseconds for which a signal may be on its way: an order takes a second. A follower that has
not acknowledged it for longer is late."""
ALWAYS = -1
"""The age at which is told what is told at once."""
FOR_EVER = 2**63
"""Later than any time."""
EXPERT = re.compile(r"Mtnet(?:Follower|Provider) (\d+)\.(\d+)", re.ASCII)
"""The names that the experts give themselves in HELLO."""
WANTED = 2, 0
"""The oldest version of the experts that reports its account and acknowledges what it holds."""


def judge(facts: FollowerFacts | ProviderFacts, when: int) -> Judgement:
    """Return the status of a participant at one moment."""
    if isinstance(facts, FollowerFacts):
        late = any(_is_older(since, LATE, when) for since in _waits(facts))
        return judgement("follower", _of_follower(facts, when), late)
    return judgement("provider", _of_provider(facts, when))


def lasts(facts: FollowerFacts | ProviderFacts, when: int) -> int:
    """Return until when `judge` says the same of these facts as at one moment."""
    ends = [_lasts(since, most, when) for since, most in _ages(facts)]
    waits = _waits(facts) if isinstance(facts, FollowerFacts) else ()
    ends += [since + LATE for since in waits if not _is_older(since, LATE, when)]
    return min(ends, default=FOR_EVER)


def _waits(facts: FollowerFacts) -> list[int]:
    """Return the moments since which a follower that is connected lacks something."""
    due = facts.due if facts.expected else None
    return [each for each in (facts.waits, due) if each is not None and facts.connected]


def _ages(facts: FollowerFacts | ProviderFacts) -> Iterator[tuple[int, int]]:
    """Yield the moments that are judged by their age, each with the age at which that is told."""
    if not facts.connected:
        yield facts.since, ALWAYS
    if facts.heard is not None:
        yield facts.heard, SILENCE
    if facts.reports:
        yield max(facts.reports[0].time, facts.since), FRESH
        yield facts.reports[0].time, FRESH
    if isinstance(facts, FollowerFacts):
        yield from _ages_of_follower(facts)


def _ages_of_follower(facts: FollowerFacts) -> Iterator[tuple[int, int]]:
    state = facts.channel.provider
    if not state.up:
        yield state.since, ALWAYS
    ages = (state.heard, SILENCE), (facts.stalled, STALL), (facts.waits, CATCH_UP)
    yield from (
        (since, most) for since, most in (*ages, (facts.due, ACK_TIME)) if since is not None
    )


def _lasts(since: int, most: int, when: int) -> int:
    age = when - since
    return since + (most if age <= most else next_duration(age) - 1)


def _of_follower(facts: FollowerFacts, when: int) -> Iterator[Finding]:
    yield from _presence(facts, when)
    if facts.connected:
        yield from _connection(facts, when)
        yield from _acknowledgements(facts, when)
        yield from _terminal(facts, when)
    yield from _copies(facts)
    yield from _channel(facts.channel)
    yield from _view(facts.channel)
    yield from _provider(facts.channel, when)


def _presence(facts: FollowerFacts, when: int) -> Iterator[Finding]:
    if not facts.connected:
        names = {
            "ago": duration(when - facts.since),
            "sent": facts.sent,
            "seq": facts.channel.seq,
        }
        yield Finding("switched_off" if facts.left else "offline", names)


def _connection(facts: FollowerFacts, when: int) -> Iterator[Finding]:
    if _is_older(facts.heard, SILENCE, when):
        yield Finding("blind", {**_ago(facts.heard, when), "why": _why_silent(facts)})
    if _is_older(facts.stalled, STALL, when):
        waiting = f": {_size(facts.untaken)} wait for it" if facts.untaken else ""
        yield Finding("slow", {**_ago(facts.stalled, when), "waiting": waiting})
    if _is_older(facts.waits, CATCH_UP, when):
        names = {
            "channel": facts.channel.name,
            "behind": counted_signals(facts.channel.seq - facts.sent),
        }
        yield Finding("behind", {**_ago(facts.waits, when), **names})


def _acknowledgements(facts: FollowerFacts, when: int) -> Iterator[Finding]:
    if facts.expected and _is_older(facts.due, ACK_TIME, when):
        names = {"next": facts.next, "why": _why_unacknowledged(facts, when)}
        yield Finding("not_acknowledged", {**_ago(facts.due, when), **names})
    elif not facts.acknowledges and (facts.channel.seq or not facts.expected):
        yield Finding("unconfirmed")
    elif facts.untold:
        yield Finding("untold", {"symbols": ", ".join(facts.untold)})


def _why_silent(facts: FollowerFacts) -> str:
    """Return what the kernel knows of somebody who is silent, and what to do."""
    if facts.untaken is None:
        return ": look whether its terminal hangs and its network works"
    if facts.resent:
        return ", and its machine does not answer: look at its network, and whether it is on"
    if facts.untaken:
        size = _size(facts.untaken)
        return f", and it does not read, {size} wait for it: its terminal hangs, so restart it"
    return ", though all that was sent has arrived: its terminal hangs, so restart it"


def _why_unacknowledged(facts: FollowerFacts, when: int) -> str:
    """Return whether it is the program that acknowledges nothing, and what to do."""
    if facts.heard is None or hangs(facts.heard, facts.stalled, when):
        return ": look whether its program trades, and what its journal says"
    return ": its connection works, so its program waits or cannot trade; see its journal"


def _copies(facts: FollowerFacts) -> Iterator[Finding]:
    view = facts.channel.view
    exact = view is not None and view.exact
    for key, copy in facts.copies.items():
        names = {
            "symbol": _name(key),
            "wanted": _lots(copy.wanted),
            "held": "nothing" if not copy.held else _lots(copy.held),
            "reason": f" ({copy.reason})" if copy.reason else "",
        }
        if copy.failed:
            yield Finding("refused", names)
        if copy.held is None or copy.right:
            continue
        wrong = copy.failed or exact or not copy.same_side
        yield Finding("wrong_volume" if wrong else "other_volume", names)


def _channel(channel: ChannelFacts) -> Iterator[Finding]:
    names = {"channel": channel.name}
    if channel.damaged:
        yield Finding("damaged", names)
    if channel.diverged:
        yield Finding("diverged", names)
    if channel.paused is not None:
        yield Finding("frozen" if channel.paused == "frozen" else "paused", names)


def _view(channel: ChannelFacts) -> Iterator[Finding]:
    view = channel.view
    if view is None:
        return
    if view.struck:
        yield Finding("limit_struck", {"channel": channel.name, "why": view.struck})
    if view.waits:
        yield Finding("waiting_for_report", {"channel": channel.name, "why": view.waits})


def _provider(channel: ChannelFacts, when: int) -> Iterator[Finding]:
    """Yield what is wrong with the provider of a channel, for those who follow it."""
    state = channel.provider
    names = {"channel": channel.name, "provider": state.who}
    if not state.up:
        if state.who or not channel.seq:
            names["ago"] = duration(when - state.since)
            yield Finding(_absence(state.who, state.left), names)
        return
    if state.missing:
        yield Finding("some_providers", {**names, "names": " and ".join(state.missing)})
    if _is_older(state.heard, SILENCE, when):
        yield Finding("provider_silent", {**names, "ago": duration(when - (state.heard or 0))})
    if state.trading is False:
        yield Finding("provider_trading_off", names)


def _absence(who: str, left: bool) -> Code:
    """Return the code of a channel that misses a provider, or has never had one."""
    if not who:
        return "no_provider"
    return "provider_switched_off" if left else "provider_offline"


def _of_provider(facts: ProviderFacts, when: int) -> Iterator[Finding]:
    channel = facts.channel
    names = {"channel": channel.name, "provider": facts.who}
    yield from _channel(channel)
    if facts.fenced:
        yield Finding("fenced", names)
    if not facts.connected:
        names["ago"] = duration(when - facts.since)
        yield Finding(_absence(facts.who, facts.left), names)
        return
    if _is_older(facts.heard, SILENCE, when):
        yield Finding("provider_silent", {**names, "ago": duration(when - (facts.heard or 0))})
    if facts.reports and facts.reports[0].report.trading is False:
        yield Finding("provider_trading_off", names)
    yield from _reports(facts, when)


def _terminal(facts: FollowerFacts, when: int) -> Iterator[Finding]:
    if facts.reports and facts.reports[0].report.trading is False:
        yield Finding("trading_off")
    yield from _reports(facts, when)


def _reports(facts: FollowerFacts | ProviderFacts, when: int) -> Iterator[Finding]:
    """Yield what REPORTs show of the terminal of somebody who is connected."""
    reports = facts.reports
    if reports and _is_older(max(reports[0].time, facts.since), FRESH, when):
        yield Finding("report_stale", _ago(reports[0].time, when))
    if len(reports) > 1 and account(reports[0].report) != account(reports[1].report):
        yield Finding("two_accounts", {"accounts": _accounts(reports)})
    expert = EXPERT.fullmatch(facts.client)
    if expert is not None and (int(expert[1]), int(expert[2])) < WANTED:
        names = {"client": facts.client, "wanted": "{}.{:02}".format(*WANTED)}
        yield Finding("old_client", names)


def hangs(heard: int | None, stalled: int | None, when: int) -> bool:
    """Return whether somebody is silent, or takes nothing, for longer than it may."""
    return _is_older(heard, SILENCE, when) or _is_older(stalled, STALL, when)


def _is_older(since: int | None, most: int, when: int) -> bool:
    """Return whether something has lasted for longer than it may; None = there is nothing."""
    return since is not None and when - since > most


def _size(count: int) -> str:
    """Return bytes with two digits: more would change with each one that is sent."""
    if count < 1_000:
        return "less than 1 kB"
    digits = 10 ** max(0, len(str(count)) - 2)
    rounded = round(count / digits) * digits
    return f"{rounded / 1e6:.2g} MB" if rounded >= 1_000_000 else f"{rounded / 1e3:.3g} kB"


def _ago(since: int | None, when: int) -> dict[str, object]:
    return {"ago": duration(when - (since or 0))}


def _accounts(reports: Sequence[Reported]) -> str:
    return " and ".join("@".join(filter(None, account(each.report))) for each in reports)


def _name(key: Key) -> str:
    return f"{key.symbol} #{key.ticket}" if key.ticket else key.symbol


def _lots(volume: Decimal) -> str:
    return f"{volume:f}" if volume else "flat"
