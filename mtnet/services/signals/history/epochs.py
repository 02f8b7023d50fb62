"""Epochs: a channel whose journal is another one now, and what a person accepts of it."""

from collections.abc import Callable

from mtnet.services.signals.channels import Channels
from mtnet.services.signals.history.histories import Histories
from mtnet.services.signals.journal.group_commit import GroupCommit
from mtnet.services.signals.journal.worker import JournalWorker
from mtnet.services.signals.model import State
from mtnet.services.signals.ownership.policy import PublishRules
from mtnet.services.signals.ownership.retries import Retries


class Epochs:
    """
    Begins epochs: followers take a channel with a new one for another journal.

    The views of a channel that begins anew begin anew, too; reductions that it refused are judged
    again.

    Args:
        now: milliseconds since the Unix epoch, UTC.
    """

    def __init__(
        self,
        channels: Channels,
        rules: PublishRules,
        histories: Histories,
        worker: JournalWorker,
        commits: GroupCommit,
        retries: Retries,
        now: Callable[[], int],
    ) -> None:
        self._channels, self._rules, self._histories = channels, rules, histories
        self._worker, self._commits, self._retries = worker, commits, retries
        self._now = now

    async def accept(self, channel: str, new_epoch: bool = False) -> int:
        """
        Go on with a channel that is damaged, or whose history went back, as it is.

        Args:
            new_epoch: whether followers shall take it for another journal; one that is damaged
                becomes that in any case.

        Returns:
            How many positions and orders it holds.

        Raises:
            WireError: `channel`; there is none of this name, or nothing is wrong with it.
            JournalError: the disk does not keep it.
        """
        journal, views = self._worker.journal, self._rules.views
        damaged = channel in journal.damaged
        if not damaged:
            self._channels.named(channel)
        if damaged or new_epoch:
            begin = journal.accept if damaged else journal.begin_epoch
            accepted = await self._commits.ask(begin, channel, self._now())
            # First the new epochs: a follower that is sent one holds, whatever is closed then.
            for name, state in {channel: accepted.state, **accepted.views}.items():
                self._begin(name, state)
            self._channels.append(accepted.entries)
            await views.reload()
        else:
            await self._histories.accept(channel, *views.of(channel))
        return len(self._channels.book[channel].held())

    async def begin_view(self, name: str) -> None:
        """Show everybody a view that was made just now."""
        journal = self._worker.journal
        if name not in journal.damaged:
            self._begin(name, await self._commits.ask(journal.positions, name))

    def _begin(self, channel: str, state: State) -> None:
        self._worker.log_damage()
        self._channels.begin(channel, state)
        self._histories.forget(channel)
        self._rules.store.retry_channel(channel)
        self._retries.judge_reductions()
