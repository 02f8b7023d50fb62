"""Signals and whole states by HTTP: each is judged as those of sessions are."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from mtnet.errors import WireError
from mtnet.net.http.errors import STATUS
from mtnet.net.http.route import Answer, HttpRequest
from mtnet.services.signals.http.channels import state_of
from mtnet.services.signals.http.publishers import HttpPublishers
from mtnet.services.signals.http.wire import (
    ChannelPath,
    NewSignal,
    NewSignals,
    NewState,
    RefusedPosition,
    Result,
    StateResult,
)
from mtnet.services.signals.model import FLAT, Taken, WholeState
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.values import Take


class SignalPublishing:
    """Takes signals."""

    def __init__(self, signals: SignalService, publishers: HttpPublishers) -> None:
        self._signals, self._publishers = signals, publishers

    def post(
        self, request: HttpRequest, path: ChannelPath, asked: NewSignals
    ) -> "Deferred[Answer]":
        """Take signals, each alone and in order; the answer comes once all are on disk."""
        publisher = self._publishers.of(request, path.channel, asked)
        take = _take(asked.take, asked.beside)
        if not asked.signals:
            taken = publisher.replace(_sign_of_life(publisher.channel, self._signals.now()), take)
            return taken.addCallback(lambda _: Answer(200, []))
        results = [publisher.publish(each, take) for each in asked.signals]
        done: Deferred[Any] = DeferredList(results, consumeErrors=True)
        return done.addCallback(_joined, asked.signals)


class StatePublishing:
    """Takes whole states."""

    def __init__(self, signals: SignalService, publishers: HttpPublishers) -> None:
        self._signals, self._publishers = signals, publishers

    def put(
        self, request: HttpRequest, path: ChannelPath, asked: NewState
    ) -> "Deferred[StateResult]":
        """Take all that a publisher holds; the answer comes once the differences are on disk."""
        publisher = self._publishers.of(request, path.channel, asked)
        whole = _whole(publisher.channel, asked, self._signals.now())
        done = publisher.replace_once(whole, _take(asked.take))
        return done.addCallback(_shown, self._signals, publisher.channel)


def _shown(found: Taken, signals: SignalService, channel: str) -> StateResult:
    """Return what became of a whole state."""
    refused = [
        RefusedPosition(draft.symbol, why.code, f"{why}.", draft.ticket, why.closed)
        for draft, why in found.refused
    ]
    return StateResult(
        epoch=signals.channels.epoch(channel),
        seq=found.seq,
        h=found.h,
        stored=len(found.entries),
        refused=refused,
        **state_of(signals, channel),
    )


def _take(asked: bool, beside: bool = False) -> Take:
    # Without either a channel is taken that is free, or that the publisher holds.
    return "1" if asked else "0" if beside else "free"


def _sign_of_life(channel: str, when: int) -> WholeState:
    return WholeState(channel, "", FLAT, when, scope=frozenset())


def _whole(channel: str, asked: NewState, when: int) -> WholeState:
    """
    Return the draft of a whole state.

    Raises:
        WireError: `field`.
    """
    scope = asked.scope()
    given = [each.position() for each in asked.positions]
    drafts = [each.draft(channel, when) for each in given if each.volume]
    keys = [(each.symbol, each.ticket) for each in given]
    doubled = {key for key in keys if keys.count(key) > 1} if len({*keys}) < len(keys) else ()
    if doubled:
        raise WireError("field", "A state names each position once, not", _key(doubled))
    foreign = [] if scope is None else [key for key in keys if key[0] not in scope]
    if foreign:
        raise WireError("field", "A position is of one of the symbols, not", _key(foreign))
    if not (drafts or asked.flat):
        raise WireError(
            "field", 'A state without positions closes all; it says so with "flat": true'
        )
    said = [asked.positions, asked.symbols, asked.flat]
    digest = sha256(msgspec.json.encode(said)).hexdigest()[:16]
    return WholeState(
        channel,
        "",
        FLAT,
        when,
        positions=tuple(drafts),
        scope=scope,
        n=asked.n,
        digest=digest,
    )


def _key(keys: Iterable[tuple[str, str]]) -> bytes:
    return " ".join(filter(None, min(keys))).encode()


def _joined(results: list[tuple[bool, Any]], asked: list[NewSignal]) -> Answer:
    """Return what became of each signal, with the status of the first that was refused."""
    status, shown = 200, []
    for each, (_, result) in zip(asked, results, strict=True):
        if not isinstance(result, Failure):
            shown.append(Result(each.id, result))
            continue
        error = result.value
        if not isinstance(error, WireError):
            result.raiseException()
        shown.append(Result(each.id, None, error.code, f"{error}.", error.closed))
        status = STATUS.get(error.code, 400) if status == 200 else status
    return Answer(status, shown)
