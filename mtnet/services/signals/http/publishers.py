"""Publishers by HTTP: who they are between their requests, and who holds which channel."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mtnet.net.http.route import HttpRequest
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.expiry import Present
from mtnet.services.signals.http.wire import NewSignals, NewState
from mtnet.services.signals.ownership.publishers import Publisher, PublisherId
from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.service import SignalService


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

    Attributes:
        channel: the one that it sets.
        publisher: it, for those who judge its signals.
        client: its program, in its words.
        heard: seconds of the clock at its last request.
    """

    stalled: float | None = None
    reported: Reported | None = None

    def __init__(self, channel: str, publisher: Publisher) -> None:
        self.channel, self.publisher = channel, publisher
        self.client, self.heard = "", 0.0
        self._last: SharedAnswer | None = None
        publisher.connection = self

    def once(self, question: object, store: Callable[[], "Deferred[Any]"]) -> "Deferred[Any]":
        """
        Store a whole state, unless it is the last one again; fire with what became of it.

        Args:
            question: number and content of the state.
            store: stores it.
        """
        before = self._last
        if before is not None and before.question == question:
            return before.wait()
        last = self._last = SharedAnswer(question)
        done = last.wait()

        def answer(result: Any) -> None:
            if isinstance(result, Failure) and self._last is last:
                self._last = before  # it is tried again when it comes again
            last.fire(result)

        store().addBoth(answer)
        return done


class HttpPublishers:
    """Registry of the publishers by HTTP; each holds its channel longer than it counts as there."""

    def __init__(self, signals: SignalService, clock: IReactorTime) -> None:
        self._signals, self._clock = signals, clock
        self._present: Present[PublisherKey, HttpPublisher] = Present(
            clock, attrgetter("heard"), self._leave
        )

    def of(self, request: HttpRequest, channel: str, asked: NewSignals | NewState) -> HttpPublisher:
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
            found = HttpPublisher(channel, self._join(access, key, asked.name))
            found.heard = self._clock.seconds()
            self._present.add(key, found)
            self._signals.resume(found.publisher, channel)
        found.heard, found.client = self._clock.seconds(), access.agent
        return found

    def _join(self, access: RequestAccess, key: PublisherKey, program: str) -> Publisher:
        who = PublisherId(key.login, key.name, http=True, program=program)
        return self._signals.join(key.name, who=who, address=access.host)

    def _leave(self, gone: HttpPublisher) -> None:
        self._signals.leave(gone.publisher)
