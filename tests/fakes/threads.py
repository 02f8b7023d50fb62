"""Worker threads that work when the test says so."""

from twisted.internet.defer import Deferred, maybeDeferred

from mtnet.errors import JournalError


class ManualThread:
    """
    A worker thread whose calls wait until the test runs them.

    Attributes:
        held: whether calls wait; else they are run at once.
        full: whether every call fails as on a full disk.
        calls: those that wait.
    """

    def __init__(self, held=True):
        self.held, self.full, self.calls = held, False, []

    def __call__(self, function, *arguments):
        if not self.held:
            return maybeDeferred(function, *arguments)
        done = Deferred()  # a call that is cancelled is run all the same, as in a thread
        self.calls.append((done, function, arguments))
        return done

    def step(self):
        """Run the oldest call."""
        done, function, arguments = self.calls.pop(0)
        if self.full:
            done.errback(JournalError("The disk is full."))
        else:
            maybeDeferred(function, *arguments).addBoth(done.callback)

    def work(self):
        """Run all calls, and those that they lead to."""
        while self.calls:
            self.step()
