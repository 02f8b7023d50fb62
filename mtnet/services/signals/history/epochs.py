"""Epochs: a channel whose journal is another one now, and what a person accepts of it."""

from mtnet.services.signals.service import SignalService


class Epochs:
    """
    Accepts channels as they are; followers take one with a new epoch for another journal.

    The views of a channel that begins anew begin anew, too.
    """

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

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
        signals = self._signals
        journal, views = signals.worker.journal, signals.views
        damaged = channel in journal.damaged
        if not damaged:
            signals.channels.named(channel)
        if damaged or new_epoch:
            begin = journal.accept if damaged else journal.begin_epoch
            accepted = await signals.commits.ask(begin, channel, signals.now())
            # First the new epochs: a follower that is sent one holds, whatever is closed then.
            for name, state in {channel: accepted.state, **accepted.views}.items():
                signals.begin(name, state)
            signals.channels.append(accepted.entries)
            await views.reload()
        else:
            await signals.histories.accept(channel, *views.of(channel))
        return len(signals.channels.book[channel].held())
