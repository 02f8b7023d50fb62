"""
Retries: what was refused is judged again, once the reason for refusing it has ended.

Such reasons are pauses, and the reservations of publishers that are gone, which expire here.
"""

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.services.signals.journal.group_commit import GroupCommit, Pending
from mtnet.services.signals.journal.worker import JournalWorker
from mtnet.services.signals.model import Entry
from mtnet.services.signals.ownership.policy import OWNER, PublishRules
from mtnet.services.signals.ownership.publishers import Publisher

OVER = "is closed to make it resend its whole state: the reason for refusing its frames has ended"


class Retries:
    """
    Judges again what was refused, and releases the reservations that expire.

    Args:
        now: milliseconds since the Unix epoch, UTC.
    """

    def __init__(
        self,
        rules: PublishRules,
        commits: GroupCommit,
        worker: JournalWorker,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self._rules, self._commits, self._worker = rules, commits, worker
        self._clock, self._now = clock, now
        self.expiry: IDelayedCall | None = None

    def judge(self) -> None:
        """Judge what a change of pauses lets be: reductions first."""
        self.judge_reductions()
        self.judge_frames()

    def judge_reductions(self) -> None:
        """Judge the reductions first that a channel refused while it was frozen."""
        due = self._rules.store.pop_retryable()
        if due:
            now = self._now()
            self._commits.add_first(
                [Pending(replace(each, when=now), OWNER, refused_reduction=each) for each in due]
            )

    def judge_frames(self) -> None:
        """Judge again the classic frames whose reason of refusal has ended."""
        when, ownership = self._clock.seconds(), self._rules.ownership
        for publisher, frames in ownership.pop_retryable(self._rules.store.paused, when):
            for key, volume in frames.items():
                self._commits.add(Pending(Entry(*key, volume, self._now()), publisher))
            self._commits.queue.when_processed(publisher).addBoth(_end, publisher)

    def note_ownership(self) -> None:
        """Judge what a publisher that is gone, or its reservation, has stood in the way of."""
        self.judge_frames()
        self.keep_holders()
        self.schedule()

    def keep_holders(self) -> None:
        """Let a start know who holds which channel."""
        store, held = self._rules.store, self._rules.ownership.held
        if store.held is not held and not self._commits.queue.closed:
            store.held = held
            self._worker.keep_policy()

    def schedule(self) -> None:
        """Schedule the release of reservations of publishers that do not reconnect."""
        due = self._rules.ownership.next_expiry()
        if self.expiry is not None and self.expiry.active():
            self.expiry.cancel()
        self.expiry = None
        if due is not None and not self._commits.queue.closed:
            delay = max(0.0, due - self._clock.seconds())
            self.expiry = self._clock.callLater(delay, self._release_expired)

    def _release_expired(self) -> None:
        self._rules.ownership.expire(self._clock.seconds())
        self.note_ownership()


def _end(_: object, publisher: Publisher) -> None:
    publisher.close(OVER)
