"""HTTP: signs of life, and the alerts for the page."""

from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from mtnet.access.rights import ADMIN
from mtnet.net.http.route import Answer, HttpRequest, Route, refuse_disk
from mtnet.services.alerts.heartbeats import Heartbeats
from mtnet.services.alerts.listing import AlertList
from mtnet.services.alerts.mutes import Mutes

NOT_STORED = "The mute is not changed: the disk does not take it at present"


class Token(Struct):
    """The secret in the path of a heartbeat."""

    token: str


class Refusal(Struct):
    """The form of every error."""

    error: str
    text: str


class Name(Struct):
    """The alert in the path."""

    name: str


class Mute(Struct):
    """The length of a mute, in seconds: null = until somebody ends it; 0 = it ends now."""

    seconds: float | None = None


class HeartbeatResources:
    """Routes of heartbeats."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method=method,
                path="/v1/heartbeat/{token}",
                handler=self._beat,
                summary="A sign of life of the program that has this token.",
                params=Token,
                errors=(404, 429),
            )
            for method in ("GET", "POST")
        ]

    def _beat(self, request: HttpRequest, asked: Token) -> Answer | None:
        if self._heartbeats.beat(asked.token):
            return None
        return _unknown_token(self._heartbeats.may_guess(request.peer.host))


class AlertResources:
    """
    Routes of alerts.

    Args:
        heartbeats: routes besides.
    """

    def __init__(self, heartbeats: HeartbeatResources, alerts: AlertList, mutes: Mutes) -> None:
        self._heartbeats, self._alerts, self._mutes = heartbeats, alerts, mutes

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            *self._heartbeats.routes(),
            Route(
                method="GET",
                path="/v1/alerts",
                handler=lambda request: self._alerts.rows(),
                summary="The alerts, with the incidents that go on.",
                right=ADMIN,
                login=True,
                answers={200: list[dict[str, Any]]},
            ),
            Route(
                method="POST",
                path="/v1/alerts/{name}/mute",
                handler=self._mute,
                summary="Tell nobody of an alert for some time.",
                params=Name,
                body=Mute,
                right=ADMIN,
                login=True,
            ),
        ]

    def _mute(self, request: HttpRequest, asked: Name, body: Mute) -> "Deferred[Any]":
        name, seconds = asked.name, body.seconds
        done = self._mutes.add(name, seconds) if seconds != 0 else self._mutes.remove(name)
        return done.addErrback(refuse_disk, NOT_STORED)


def _unknown_token(may_guess: bool) -> Answer:
    """Return the refusal as an answer: what is raised is logged with its path, the token."""
    if may_guess:
        return Answer(404, Refusal("missing", "There is no heartbeat with this token."))
    return Answer(429, Refusal("banned", "Too many unknown tokens: try again in a minute."))
