"""Long polls: requests that wait for news."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.rights import Rights
from mtnet.callbacks import noop
from mtnet.errors import HttpError

MAX_WAIT = 60
"""Seconds that a request can wait: proxies give up after a minute or more."""


class LongPoll:
    """
    A request that is held until there is news, until its time is over, or until its client leaves.

    What makes one subscribes it to something that calls `notify`, and answers with its
    `deferred`; handlers call `request.wait`.

    Args:
        seconds: after which it is answered anyway.
        answer: makes the answer, or a Deferred with it; it may raise `MtnetError`.
        release: undoes the subscription; called once.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        answer: Callable[[], Any],
        release: Callable[[], object] = noop,
    ) -> None:
        self.deferred: Deferred[Any] = Deferred()
        self._answer, self._release = answer, release
        self._timer = clock.callLater(seconds, self.notify)
        self._over = False

    def notify(self, *_: object) -> None:
        """Answer now; takes what it is called with."""
        answer = self._answer
        if not self.leave():
            return
        try:
            found = answer()
        except Exception:
            self.deferred.errback()
            return
        if isinstance(found, Deferred):
            found.chainDeferred(self.deferred)
        else:
            self.deferred.callback(found)

    def leave(self) -> bool:
        """Wait no longer; return whether it did."""
        if self._over:
            return False
        self._over = True
        if self._timer.active():
            self._timer.cancel()
        release = self._release
        self._answer = self._release = noop  # both may refer back to this poll
        release()
        return True

    # Of an account

    def evict(self) -> None:
        """The account may do less than before, or its token is withdrawn."""
        if self.leave():
            self.deferred.errback(HttpError(401, "login", "This login has ended; log in again."))

    def gain(self, former: Rights, rights: Rights) -> None:
        """Go on: more rights do not change what was asked for."""
