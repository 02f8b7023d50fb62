"""Steps of the signals machine: pauses, as whoever runs the daemon asks for them."""

from hypothesis import strategies as st
from hypothesis.stateful import rule
from twisted.internet.defer import Deferred, succeed

from mtnet.errors import JournalError, WireError
from mtnet.services.signals.commands import MODES, SignalCommands

COMMANDS = st.sampled_from(["pause", "pause", "freeze", "resume", "resume", "flatten"])


class Pauses:
    """
    Attributes:
        modes: how the channel is paused, as far as the disk may know it: the last one counts.
    """

    def operate(self, command, **asked):
        """Ask the control socket; the answer may wait for the disk."""
        found = SignalCommands(self.server.signals).commands()[f"signals {command}"]
        try:
            answer = found({"channel": "main", **asked})
        except WireError as error:
            return error
        answer = answer if isinstance(answer, Deferred) else succeed(answer)
        answer.addErrback(lambda failure: failure.trap(WireError, JournalError) and failure.value)
        return answer

    @rule(command=COMMANDS, stored=st.sampled_from([True, True, False]))
    def pause_freeze_resume_or_flatten(self, command, stored):
        self.pause(command)
        self.work(stored)

    def pause(self, command):
        self.rules.mode = MODES.get(command, "close_only")
        self.modes.append(self.rules.mode)
        self.operate(command).addCallback(self._kept)

    def _kept(self, answer):
        # What is saved is how it is paused by then.
        if not isinstance(answer, WireError):
            self.modes = [self.rules.mode]

    def forget_pauses(self):
        """The daemon is another: it knows what was on the disk."""
        mode = self.server.signals.rules.pause_mode("main")
        assert mode in self.modes
        self.rules.mode, self.modes = mode, [mode]

    def check_pauses(self):
        """Everybody whom it concerns was told how the channel is paused."""
        for publisher in self.publishers:
            publisher.read()
            if publisher.terminal is not None and publisher.said:
                assert publisher.mode == self.rules.mode
        for follower in self.followers:
            follower.read()
            reads = follower.terminal is not None and not follower.terminal.transport.stalled
            if reads and follower.synced:
                assert follower.mode == self.rules.mode
