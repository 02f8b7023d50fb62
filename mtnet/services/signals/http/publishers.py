"""Publishers by HTTP: who they are between their requests, and who holds which channel."""

from operator import attrgetter
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mtnet.errors import WireError
from mtnet.net.http.route import HttpRequest
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.expiry import Present
from mtnet.services.signals.http.wire import NewSignal, Published
from mtnet.services.signals.model import Taken, WholeState
from mtnet.services.signals.ownership.publishers import PublisherId
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.values import Take


class PublisherKey(NamedTuple):
    """A publisher in one channel; `name` is what it calls itself."""

    channel: str
    login: str
    name: str


class SharedAnswer:
    """
    The answer to one request, for all that are the same.

    Attributes:
        question: by what they are the same.
    """

    def __init__(self, question: object) -> None:
        self.question = question
        self._waiting: list[Deferred[Any]] = []
        self._answer: Any = None

    def wait(self) -> "Deferred[Any]":
        """Return what fires with the answer."""
        done: Deferred[Any] = Deferred()
        if self._answer is None:
            self._waiting.append(done)
        else:
            done.callback(self._answer)
        return done

    def fire(self, answer: Any) -> None:
        """Answer all that wait, and those that come later; a Failure is one, too."""
        self._answer = answer
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(answer)


class HttpPublisher:
    """
    A publisher that has no connection.

    Args:
        program: what the publisher calls its program; empty = nothing.
        host: where it comes from.

    Attributes:
        channel: the one that it sets.
        publisher: it, for those who judge its signals.
        client: its program, in its words.
        heard: seconds of the clock at its last request.
    """

    output = reported = None

    def __init__(self, signals: SignalService, key: PublisherKey, program: str, host: str) -> None:
        self._signals, self.channel = signals, key.channel
        who = PublisherId(key.login, key.name, http=True, program=program)
        self.publisher = signals.join(key.name, who=who, address=host)
        self.publisher.connection = self
        self.client, self.heard = "", 0.0
        self._last: SharedAnswer | None = None

    def publish(self, asked: NewSignal, take: Take) -> "Deferred[int]":
        """Take a signal; as `SignalService.publish`, and it fails with what that raises."""
        try:
            given = asked.publish(self.channel)
            draft = given.draft(self.channel, self._signals.now(), given.id)
            return self._signals.publish(self.publisher, draft, take)
        except WireError as error:
            return fail(error)

    def replace(self, whole: WholeState, take: Take) -> "Deferred[Taken]":
        """Take all that it holds; as `SignalService.replace`."""
        return self._signals.replace(self.publisher, whole, take)

    def replace_once(self, whole: WholeState, take: Take) -> "Deferred[Taken]":
        """
        Take all that it holds, unless that is the last state again: number and content are those
        of before. Fires with what became of it.
        """
        question, before = (whole.n, whole.digest), self._last
        if before is not None and before.question == question:
            return before.wait()
        last = self._last = SharedAnswer(question)
        done = last.wait()

        def answer(result: Any) -> None:
            if isinstance(result, Failure) and self._last is last:
                self._last = before  # it is tried again when it comes again
            last.fire(result)

        maybeDeferred(self.replace, whole, take).addBoth(answer)
        return done


class HttpPublishers:
    """Registry of the publishers by HTTP; each holds its channel longer than it counts as there."""

    def __init__(self, signals: SignalService, clock: IReactorTime) -> None:
        self._signals, self._clock = signals, clock
        self._present: Present[PublisherKey, HttpPublisher] = Present(
            clock, attrgetter("heard"), self._leave
        )

    def of(self, request: HttpRequest, channel: str, asked: Published) -> HttpPublisher:
        """
        Return the publisher that a request comes from; with `take` one that is fenced begins anew.

        Args:
            channel: as the client names it.

        Raises:
            HttpError: there is no right to publish.
        """
        access = RequestAccess(request, self._signals)
        channel = access.demand_publish(channel)
        key = PublisherKey(channel, access.login, asked.publisher)
        found = self._present.get(key)
        if found is not None and asked.take and channel in found.publisher.fenced:
            self._present.remove(key)
            found = None
        if found is None:
            found = HttpPublisher(self._signals, key, asked.name, access.host)
            found.heard = self._clock.seconds()
            self._present.add(key, found)
            self._signals.resume(found.publisher, channel)
        found.heard, found.client = self._clock.seconds(), access.agent
        return found

    def _leave(self, gone: HttpPublisher) -> None:
        self._signals.leave(gone.publisher)
